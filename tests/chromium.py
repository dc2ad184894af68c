"""A real browser for tests: Chromium, driven by its own protocol over two pipes.

So nothing need be installed beside it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--window-size=1400,900", "--remote-debugging-pipe"),
)
WAIT = 20
"""Seconds for an answer, on a busy machine."""
SEEN = "document.body && document.body.innerText.slice(0, 200)"


class Browser:
    """Speaks with Chromium: commands out by descriptor 3, answers in by descriptor 4."""

    def __init__(self, program, profile, flags=()):
        self.started = program, profile, flags
        ours, theirs = os.pipe(), os.pipe()  # what it reads, what it writes
        ends = (ours[0], theirs[1])

        def place():
            spare = [os.dup(end) for end in ends]  # neither is 3 or 4 while the other is placed
            for number, end in zip((3, 4), spare, strict=True):
                os.dup2(end, number)

        self.process = subprocess.Popen(
            [program, *FLAGS, *flags, f"--user-data-dir={profile}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=place,
            close_fds=False,
        )
        for end in ends:
            os.close(end)
        self.write, self.read = ours[1], theirs[0]
        self.numbers, self.buffer, self.session = itertools.count(1), b"", None
        self.tab = ""
        self.new_tab()

    @contextlib.contextmanager
    def second_tab(self):
        """Work in another tab within the block; then close it and go back to this one."""
        first, self.tab = (self.tab, self.session), ""
        self.new_tab()
        try:
            yield
        finally:
            second, (self.tab, self.session) = self.tab, first
            self("Page.bringToFront")
            self("Target.closeTarget", targetId=second)

    def new_tab(self):
        """Open an empty tab, and close the one before it as a person does."""
        before, self.session = self.tab, None
        self.tab = self("Target.createTarget", url="about:blank")["targetId"]
        attached = self("Target.attachToTarget", targetId=self.tab, flatten=True)
        if before:
            self("Target.closeTarget", targetId=before)
        self.session = attached["sessionId"]
        self("Page.bringToFront")  # a tab behind another draws nothing

    def __call__(self, method, **params):
        """Give a command and return its answer; what it tells meanwhile is dropped."""
        number = next(self.numbers)
        said = {"id": number, "method": method, "params": params}
        said |= {"sessionId": self.session} if self.session else {}
        os.write(self.write, json.dumps(said).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            pass
        if "navigated" in answer.get("error", {}).get("message", ""):
            return self(method, **params)  # the page that was asked has gone: its successor
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self):
        until = time.monotonic() + WAIT
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], max(0, until - time.monotonic()))
            assert ready, "Chromium does not answer"
            piece = os.read(self.read, 1 << 16)
            assert piece, "Chromium has ended"
            self.buffer += piece
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def evaluate(self, code):
        """Return what an expression of the page gives."""
        said = self("Runtime.evaluate", expression=code, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def expect(self, code, value):
        """Wait until an expression of the page gives a value: events of the page take a moment."""
        until = time.monotonic() + WAIT
        while (found := self.evaluate(code)) != value:
            assert time.monotonic() < until, (code, found, value, self.evaluate(SEEN))
            time.sleep(0.02)

    def open(self, page):
        """Open a file, or an address; in another Chromium if this one has come to a standstill."""
        address = page if isinstance(page, str) else page.as_uri()
        try:
            self("Page.navigate", url=address)
        except AssertionError:
            self.process.kill()
            self.process.wait()
            program, profile, flags = self.started
            self.__init__(program, f"{profile}-again", flags)
            self("Page.navigate", url=address)
        self.expect(f"location.href.startsWith('{address}') && document.readyState", "complete")

    def save_into(self, folder):
        """Put what pages save into a folder, whichever tab they are in."""
        tab, self.session = self.session, None
        self("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        self.session = tab

    def press(self, key):
        """Press and release a key: a sign, or a name such as ArrowLeft."""
        text = {"text": key} if len(key) == 1 else {}
        self("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self("Input.dispatchKeyEvent", type="keyUp", key=key)

    def drag(self, selector, dx, dy):
        """Drag with the mouse from the middle of an element."""
        x, y = self._middle(selector)
        mouse = {"button": "left", "clickCount": 1}
        self("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **mouse)
        for k in (1, 2):
            at = {"x": x + k * dx / 2, "y": y + k * dy / 2}
            self("Input.dispatchMouseEvent", type="mouseMoved", buttons=1, **at, **mouse)
        self("Input.dispatchMouseEvent", type="mouseReleased", x=x + dx, y=y + dy, **mouse)

    def click(self, selector):
        """Press and release the mouse in the middle of an element."""
        x, y = self._middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def as_tablet(self, width=820, height=1180):
        """Be a tablet that is held upright and has no mouse; `as_desk` ends it."""
        size = {"width": width, "height": height, "deviceScaleFactor": 2}
        self("Emulation.setDeviceMetricsOverride", mobile=True, **size)
        self("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=5)

    def as_desk(self):
        """Have a mouse and a wide screen again."""
        self("Emulation.setTouchEmulationEnabled", enabled=False)
        self("Emulation.clearDeviceMetricsOverride")

    def touch(self, selector, *paths):
        """Put a finger on each path and move all of them along; x and y from an element's middle.

        A path of one place is a tap.
        """
        x, y = self._middle(selector)
        places = [[{"x": x + dx, "y": y + dy} for dx, dy in path] for path in paths]
        for k in range(len(paths)):  # one finger is down before the next
            down = [{**path[0], "id": i} for i, path in enumerate(places[: k + 1])]
            self("Input.dispatchTouchEvent", type="touchStart", touchPoints=down)
        for step in zip(*(path[1:] for path in places), strict=True):
            moved = [{**at, "id": i} for i, at in enumerate(step)]
            self("Input.dispatchTouchEvent", type="touchMove", touchPoints=moved)
        self("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def _middle(self, selector):
        element = f"document.querySelector({json.dumps(selector)})"
        self.expect(f"{element}.getBoundingClientRect().width > 0", True)  # a click may show it
        return self.evaluate(
            f"(() => {{ const e = {element};"
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )

    def close(self):
        with contextlib.suppress(AssertionError, OSError):
            self("Browser.close")
        try:
            self.process.wait(WAIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.write)
        os.close(self.read)


def start(profile, *flags):
    """Start Chromium with an empty profile; None where it is not installed."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    return Browser(program, profile, flags) if program else None
