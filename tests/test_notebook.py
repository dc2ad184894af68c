"""The notebooks of the docs run as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs").glob("**/*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs_from_top_to_bottom_and_shows_what_it_says(path, tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="nbclient runs notebooks")
    client = pytest.importorskip("nbclient", reason="nbclient runs notebooks")
    notebook = nbformat.read(path, as_version=4)
    stored = [_texts(cell) for cell in notebook.cells]
    resources = {"metadata": {"path": str(tmp_path)}}
    client.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources=resources
    ).execute()
    assert any(stored) and [_texts(cell) for cell in notebook.cells] == stored


def _texts(cell):
    """What a cell shows, but for pictures and the names of run folders."""
    shown = [output.get("data", {}).get("text/html", "") for output in cell.get("outputs", [])]
    shown += [o.get("text", "") for o in cell.get("outputs", []) if o.get("name") == "stdout"]
    return [text for text in shown if text]
