from __future__ import annotations

import click
import pytest

from memtk.cli.plugins import two_columns


@pytest.mark.parametrize("columns", ["30", "60", "100", "300", "wide", "0", None])
def test_the_columns_are_as_wide_as_click_would_make_them(monkeypatch, columns):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    assert two_columns().width == click.HelpFormatter(max_width=120).width
