"""The local server of one reader: a page, its images, and labels that are kept at once.

It listens on 127.0.0.1 alone. Whoever speaks to it must know the token in its address, name it as
`Host`, and, to change anything, come from its own page (`Origin`): so no page of another site can
read or write labels, neither by its own requests nor by a name that it points to this machine.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hmac import compare_digest
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from pydantic import TypeAdapter, ValidationError
from tornado.httpserver import HTTPServer
from tornado.log import app_log
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler

from memtk import __version__
from memtk.errors import UserError, printable
from memtk.files import check_output, write_text
from memtk.report.page import open_templates
from memtk.report.pictures import window_of
from memtk.results.migrations import SCHEMA
from memtk.reviewing.draw import Draw, mark_exported
from memtk.reviewing.labels import Labels, Reading, read_labels, save
from memtk.reviewing.reviewed import ReviewedSet

TEMPLATES = Path(__file__).parent / "templates"

LARGEST_PAGE = 1_500_000_000
"""Bytes of voxels in a file that a browser opens."""

SAMPLE = 24
"""Pairs that black and white are chosen by."""

SEEN = 2_000_000
"""Voxels of these, in each channel, at even distances where there are more."""


@dataclass(frozen=True)
class ReadingPage:
    """What one reader sees.

    Args:
        labels: what the reader has said so far.
        only: names of the pairs that are shown; None: all.
    """

    reviewed: ReviewedSet
    draw: Draw
    labels: Labels
    only: Sequence[str] | None = None

    @cached_property
    def names(self) -> list[str]:
        """The pairs in this reader's order."""
        order = self.draw.order(self.labels.reader)
        return order if self.only is None else [name for name in order if name in self.only]

    @cached_property
    def windows(self) -> list[tuple[int, int]]:
        """The values that are black and white at first: of each channel, then of all together.

        They are the same for all pairs.
        """
        some = [pair for pair in self.draw.pairs if pair.name in self.names][:SAMPLE]
        if not some:
            return [(0, 65535)] * (self.reviewed.spec.channels + 1)
        voxels = int(np.prod(self.reviewed.spec.shape))
        step = 2 * len(some) * voxels // SEEN | 1  # odd: all columns
        sides = (side for pair in some for side in self.reviewed.read(pair))
        parts = [side.reshape(len(side), -1)[:, ::step].copy() for side in sides]
        seen = np.stack(parts, axis=1)  # (C, n, k)
        found = [window_of(part) for part in (*seen, seen)]
        return [tuple(_sixteen_bits(np.array([w.low, w.high])).tolist()) for w in found]

    def voxels(self, name: str) -> bytes:
        """Return both images of a pair, uint16, little-endian: the training image, the other one.

        0 is -1 and 65535 is 1, so that no contrast is lost.

        Raises:
            KeyError: if no such pair is shown.
        """
        pair = next(pair for pair in self.draw.pairs if pair.name == name)
        if name not in self.names:
            raise KeyError(name)
        return _sixteen_bits(np.stack(self.reviewed.read(pair))).astype("<u2").tobytes()

    def html(self, *, offline: bool, nonce: str = "", labels: Labels | None = None) -> str:
        """Return the page.

        Args:
            offline: with all images in it, and labels that are saved as a file; else they come from
                the server and go there.
            nonce: of the server's security policy.
            labels: that have come since; None: those of the page.
        """
        spec, images = self.reviewed.spec, []
        if offline:
            for name in self.names:
                packed = base64.b64encode(zlib.compress(self.voxels(name), 6)).decode()
                images.append((name, Markup(packed)))
        meta: dict[str, Any] = {
            "schema": SCHEMA,
            "version": __version__,
            "offline": offline,
            "draw": self.draw.name,
            "reader": self.labels.reader,
            "names": self.names,
            "shape": list(spec.shape),
            "spacing": list(spec.spacing) or [1.0] * len(spec.shape),
            "channels": spec.channels,
            "windows": self.windows,
            "labels": {
                name: said.model_dump()
                for name, said in (labels or self.labels).labels.items()
                if name in self.names
            },
        }
        template = open_templates(TEMPLATES).get_template("review.html")
        return template.render(
            meta=Markup(json.dumps(meta).replace("<", "\\u003c")),
            images=images,
            offline=offline,
            nonce=nonce,
            css=_text("review.css"),
            js=_text("review.js"),
        )

    def export(self, path: Path) -> Path:
        """Write the page as one file that works without a server, readable by its owner alone.

        From then on no other pairs are drawn in place of these.

        Raises:
            UserError: if it would be too large for a browser, or cannot be written.
        """
        spec = self.reviewed.spec
        one = 2 * 2 * spec.channels * int(np.prod(spec.shape))
        if one * len(self.names) > LARGEST_PAGE:
            raise UserError(
                f"{len(self.names)} pairs are {one * len(self.names) / 1e9:.1f} GB of voxels, more "
                f"than a browser opens as one file: read them with `memtk review RUN`, or draw "
                f"--pairs {max(1, LARGEST_PAGE // one - 2 * self.draw.options.controls)} or fewer"
            )
        check_output(path, _is_page)
        write_text(path, self.html(offline=True), private=True)
        mark_exported(self.reviewed, self.draw)
        return path


def _sixteen_bits(values: np.ndarray) -> np.ndarray:
    return np.rint((np.clip(values, -1, 1) + 1) / 2 * 65535).astype(np.uint16)


def _text(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def _is_page(text: str) -> bool:
    return "<title>Novel or copy?</title>" in text[:2000]


LARGEST_BODY = 1_000_000
"""Bytes of a request."""

_READINGS = TypeAdapter(dict[str, Reading])

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class ReadingServer:
    """Serves the pairs of one reader.

    Args:
        port: to listen on; 0: any that is free.

    Attributes:
        page: the same.
        port: that it listens on, once started.
        address: of the page, with its token.

    Raises:
        UserError: if the port is taken.
    """

    def __init__(self, page: ReadingPage, port: int = 0) -> None:
        self.page, self._token = page, secrets.token_urlsafe(32)
        self._stop: Callable[[], object] = lambda: None
        try:
            self._sockets = bind_sockets(port, "127.0.0.1")
        except OSError as error:
            raise UserError(
                f"cannot listen on port {port} ({error.strerror}): name another with --port, or "
                "none for any that is free"
            ) from error
        self.port = self._sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}/{self._token}/"

    def run(self, ready: Callable[[str], object]) -> None:
        """Serve until the reader ends the reading, or the process is interrupted.

        Args:
            ready: told the address once the page can be opened.
        """
        asyncio.run(self._serve(ready))

    def stop(self) -> None:
        """End a reading from another thread."""
        self._stop()

    async def _serve(self, ready: Callable[[str], object]) -> None:
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(ended.set)
        shared = {"page": self.page, "server": self, "ended": ended}
        root = "/(?P<token>[^/]+)/"
        application = Application(
            [
                (root, _PageHandler, shared),
                (f"{root}pair/(?P<name>[0-9a-f]+)", _PairHandler, shared),
                (f"{root}labels", _LabelsHandler, shared),
                (f"{root}end", _EndHandler, shared),
            ],
            default_handler_class=_NothingHandler,
            default_handler_args=shared,
            log_function=lambda handler: None,
        )
        server = HTTPServer(application, max_body_size=LARGEST_BODY)
        server.add_sockets(self._sockets)
        ready(self.address)
        try:
            await ended.wait()
        finally:
            self._stop = lambda: None
            server.stop()
            await server.close_all_connections()

    def knows(self, token: str) -> bool:
        """Tell whether a token is that of the address."""
        return compare_digest(token.encode(), self._token.encode())


class _Handler(RequestHandler):
    """Lets nobody in who does not know the token, or comes from another page."""

    is_page = False

    def initialize(self, page: ReadingPage, server: ReadingServer, ended: asyncio.Event) -> None:
        self._page, self._server, self._ended = page, server, ended

    def set_default_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    def prepare(self) -> None:
        hosts = {f"127.0.0.1:{self._server.port}", f"localhost:{self._server.port}"}
        if self.request.host not in hosts:
            raise HTTPError(403)
        if not self._server.knows(self.path_kwargs.get("token", "")):
            raise HTTPError(404)
        origin = self.request.headers.get("Origin")
        ours = {f"http://{host}" for host in hosts}
        reading = self.request.method in ("GET", "HEAD")
        if origin not in ours and not (reading and origin is None):
            raise HTTPError(403)
        sent = self.request.headers.get
        led_here = self.is_page and sent("Sec-Fetch-Dest") == "document"  # by a link; sees nothing
        if not led_here and sent("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            raise HTTPError(403)
        kind = self.request.headers.get("Content-Type", "")
        if not reading and kind.partition(";")[0].strip() != "application/json":
            raise HTTPError(415)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}\n")

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Say what went wrong here, and not by whose address: the token is in it."""
        if isinstance(value, UserError):
            app_log.error("%s", printable(str(value)))
        elif not isinstance(value, HTTPError):
            app_log.error("a request failed", exc_info=(kind, value, trace))

    def _said(self) -> Labels:
        page = self._page
        return read_labels(page.reviewed.folder, page.draw, page.labels.reader)


class _NothingHandler(_Handler):
    def prepare(self) -> None:
        raise HTTPError(404)


class _PageHandler(_Handler):
    is_page = True

    def get(self, token: str) -> None:
        nonce = secrets.token_urlsafe(16)
        self.set_header(
            "Content-Security-Policy",
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'",
        )
        self.finish(self._page.html(offline=False, nonce=nonce, labels=self._said()))


class _PairHandler(_Handler):
    def get(self, token: str, name: str) -> None:
        if name not in self._page.names:
            raise HTTPError(404)
        self.set_header("Content-Type", "application/octet-stream")
        self.finish(self._page.voxels(name))


class _LabelsHandler(_Handler):
    def get(self, token: str) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(self._said().model_dump_json())

    def post(self, token: str) -> None:
        try:
            given = _READINGS.validate_json(self.request.body)
            if given.keys() - set(self._page.names):
                raise HTTPError(400)
        except ValidationError as error:
            raise HTTPError(400) from error
        page = self._page
        try:
            save(page.reviewed.folder, page.draw, page.labels.reader, given)
        except UserError as error:  # a full disk: the page keeps the label and tries again
            raise HTTPError(507) from error
        self.set_status(204)
        self.finish()


class _EndHandler(_Handler):
    def post(self, token: str) -> None:
        self.finish(json.dumps({}))
        self._ended.set()
