"""Consoles on which a text of a person or a file is only ever text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.progress import TextColumn
from rich.segment import Segment
from rich.text import Text

from memtk.errors import printable


def open_console(**how: Any) -> Console:
    """Return a console that takes no text for markup, and no sign for a command of the terminal.

    Args:
        how: options of `rich.console.Console`, such as `stderr`.
    """
    console = _Console(markup=False, emoji=False, highlight=False, **how)
    console.push_render_hook(_Printable())
    return console


def column(field: str, style: str = "") -> TextColumn:
    """Return a column of a progress bar that shows one field as it is."""
    return TextColumn(field, style=style or "none", markup=False)


def marked(mark: str, style: str, text: str = "") -> Text:
    """Return a word in colour, and a text after it."""
    return Text.assemble((mark, style), f" {text}" if text else "")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to click to end the program without a word, where nobody reads any more."""
        raise  # it is called where the error is handled


class _Printable(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Cleaned(each) for each in renderables]


class _Cleaned:
    """Shows what it holds, with a sign in place of what would move the cursor or change colours."""

    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from _clean(list(console.render(self._inner, options)))


def _clean(segments: Sequence[Segment]) -> Iterator[Segment]:
    for text, style, control in segments:
        yield Segment(text if control else printable(text), style, control)
