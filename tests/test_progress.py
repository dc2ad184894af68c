from __future__ import annotations

import pytest
from rich.console import Console

from memtk.events import Event
from memtk.plugins import load_plugins
from memtk.progress import Progress


def shown(terminal, events):
    console = Console(record=True, width=120, force_terminal=terminal, quiet=False, file=Devnull())
    with Progress(console, load_plugins([], {}), every=0) as progress:
        for event in events:
            progress(event)
    return console.export_text()


class Devnull:
    def write(self, text):
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return False


EVENTS = [
    Event("note", "", text="each file is taken for a patient [sic]"),
    Event("start", "training a", 0, 10),
    Event("step", "training a", 5, 10, {"loss": 0.25}),
    Event("end", "training a", 10, 10, {"loss": 0.125}),
    Event("skip", "sampling a", 3, 3),
]


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_says_what_ended_and_what_was_done_earlier(terminal):
    text = shown(terminal, EVENTS)
    assert "✓ training a" in text and "loss 0.125" in text
    assert "✓ sampling a (done earlier)" in text
    assert "note: each file is taken for a patient [sic]" in text


def test_without_a_terminal_steps_come_as_lines_with_the_time_left():
    assert "training a 5/10, 0 s left  loss 0.25" in shown(False, EVENTS)


def test_a_plugin_that_fails_while_it_watches_is_named_once_and_the_others_go_on(write_plugin):
    failing = """
        @hookimpl
        def memtk_run_event(event):
            raise ValueError("boom")
    """
    watching = """
        seen = []

        @hookimpl
        def memtk_run_event(event):
            seen.append(event.kind)
    """
    points = [write_plugin("bad", failing, "memtk-bad", "2.1"), write_plugin("good", watching)]
    points.append(write_plugin("late", watching))
    host = load_plugins(points, {})
    console = Console(record=True, width=200, file=Devnull())
    with Progress(console, host) as progress:
        progress(EVENTS[0])
        progress(EVENTS[4])
    text = " ".join(console.export_text().split())
    assert text.count("ValueError: boom") == 1
    assert "plugin 'bad' of memtk-bad 2.1: memtk_run_event failed" in text
    assert "MEMTK_DISABLE_PLUGINS=bad leaves the plugin out" in text
    for point in points[1:]:
        assert point.load().seen == [EVENTS[0].kind, EVENTS[4].kind]
