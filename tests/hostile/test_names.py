"""Names of components in files that others wrote are letters, digits and a few signs."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from memtk.cli import cli
from memtk.plugins import Distribution, Point, load_plugins
from memtk.results.validate import validate

REAL = json.loads((Path(__file__).parents[1] / "results/result-schema-3.json").read_text())

NAMES = ("<script>pw", "=cmd|' /C calc'!A0", "a b", "-x", "../x", "[red]x", "gän", "x" * 101, "a[b")


def write(path, tree):
    path.write_text(json.dumps(tree))
    return path


def named(place, name):
    """Return a result in which something is called `name`."""
    tree = copy.deepcopy(REAL)
    checkpoint = tree["checkpoints"][-1]
    if place == "protocols":
        checkpoint["protocols"] = {name: {}}
    elif place == "quality":
        checkpoint["quality"] = {name: 1.0}
    else:
        tree["components"]["generator"][place] = name
    return tree


@pytest.mark.parametrize("place", ["name", "plugin", "distribution", "protocols", "quality"])
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_an_odd_name_of_a_component_is_refused_by_one_sentence_that_names_the_file(
    tmp_path, place, name
):
    path = write(tmp_path / "result.json", named(place, name))
    done = CliRunner().invoke(cli, ["results", "show", str(path)])
    said = " ".join(done.output.split())
    assert done.exit_code == 2 and "result.json is not as memtk writes it" in said, said
    assert "letters, digits, - _ ." in said and place in said
    assert "texts, names and keys" in [check.name for check in validate(path).failed]


def test_names_that_components_have_are_taken(tmp_path):
    for name in ("latent-diffusion", "fid2", "memtk_example", "memtk.example", "A1"):
        path = write(tmp_path / "result.json", named("name", name))
        assert CliRunner().invoke(cli, ["results", "show", str(path)]).exit_code == 0
    path = write(tmp_path / "result.json", named("quality", "fid[medicalnet3d]"))
    assert CliRunner().invoke(cli, ["results", "show", str(path)]).exit_code == 0


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_plugin_of_an_odd_name_is_left_out(name):
    point = Point(name, "memtk_toy", Distribution("toys", "1"))
    (plugin,) = load_plugins(found=[point]).plugins
    assert plugin.status == "broken" and "letters, digits" in plugin.reason
