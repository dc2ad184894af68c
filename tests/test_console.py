from __future__ import annotations

import io

from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from memtk.console import column, marked, open_console
from memtk.errors import printable

ODD = ("[red]x[/red]", "[/x]", "[link=https://a.b]x[/link]", ":smile:", "[@click=x]y")


def shown(*what, **how):
    file = io.StringIO()
    open_console(file=file, force_terminal=True, color_system=None, width=200, **how).print(*what)
    return file.getvalue()


def test_markup_in_a_text_stays_text_wherever_it_stands():
    for text in ODD:
        table = Table(title=text)
        table.add_column(text)
        table.add_row(text)
        assert shown(text).strip() == text and shown(Text(text)).strip() == text
        assert shown(table).count(text) == 3


def test_no_sign_of_a_text_moves_the_cursor_or_turns_the_text():
    for text in ("\x1b[2J", "\x9b2J", "\x1b]8;;https://a.b\x07", "\u202e", "\r", "\x08", "\udcff"):
        table = Table()
        table.add_row(f"a{text}b")
        for found in (shown(f"a{text}b"), shown(Text(f"a{text}b")), shown(table)):
            assert text not in found and "\x1b" not in found
        assert printable(text) != text
    assert printable("a\tb\nü✓") == "a\tb\nü✓"


def test_colours_of_our_own_are_shown():
    file = io.StringIO()
    open_console(file=file, force_terminal=True, color_system="standard").print(
        marked("note:", "yellow", "[red]x")
    )
    assert file.getvalue() == "\x1b[33mnote:\x1b[0m [red]x\n"


def test_a_bar_shows_the_name_of_a_stage_as_it_is():
    console = open_console(file=io.StringIO(), force_terminal=True, width=80)
    bar = Progress(column("{task.description}"), column("{task.fields[x]}", "dim"), console=console)
    bar.add_task("[red]stage[/]", x="[/x]")
    console.print(bar.get_renderable())
    assert "[red]stage[/]" in console.file.getvalue() and "[/x]" in console.file.getvalue()
