"""What the commands read: images, embeddings, an audit, a bench, a collection of results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fake_runs import write_audit_run, write_run
from hostile.odd_plugin import HEAD, hook

from memtk.cli import cli
from memtk.plugins import GROUP, find_points, load_plugins
from memtk.registry import Registry
from memtk.results.collect import add


def small_audit(folder):
    """Audit a few phantoms by comparing the images themselves; return the run folder."""
    sizes = ("--training", "8", "--validation", "8", "--size", "16", "--copies", "0.25")
    made = ("data", "make", "phantom2d", str(folder / "made"), "--as", "audit", *sizes)
    assert CliRunner().invoke(cli, made).exit_code == 0
    sources = [("--train", "train"), ("--val", "validation"), ("--synthetic", "synthetic")]
    words = [word for option, name in sources for word in (option, str(folder / "made" / name))]
    how = ("--similarity", "ncc", "--plants", "2", "--out", str(folder / "audit"))
    done = CliRunner().invoke(cli, ["audit", *words, *how])
    assert done.exit_code in (0, 3, 4), done.output
    return folder / "audit"


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """What the commands read."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "images").mkdir()
    for name in "ab":
        np.save(folder / f"images/{name}.npy", np.zeros((8, 8), np.float32))
    rng = np.random.default_rng(0)
    sets = {k: rng.normal(size=(6, 4)) for k in ("train", "validation", "synthetic")}
    np.savez(folder / "embeddings.npz", **sets)
    made = {
        "images": folder / "images",
        "embeddings": folder / "embeddings.npz",
        "audit": small_audit(folder),
        "result": Path(__file__).parents[1] / "results/result-schema-3.json",
        "results": write_run(folder / "results", steps=(100,)),
        "all": folder / "all",
    }
    add(made["results"], made["all"])
    return made


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A bench and an audit, to copy before they are changed."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        "bench": write_run(folder / "bench", steps=(100,)),
        "audit": write_audit_run(folder / "audit"),
    }


@pytest.fixture
def registry_of(write_plugin):
    """A registry of a plugin of this source, which is called "odd", and of others."""
    return lambda source, *others: Registry(load_plugins([*others, write_plugin("odd", source)]))


@pytest.fixture
def registry_with(registry_of):
    """A registry of all plugins and one with a class X of a kind, which is called "odd-x"."""

    def make(kind, source, more=""):
        return registry_of(HEAD + source + hook(kind, more=more), *find_points(GROUP))

    return make
