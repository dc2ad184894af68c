"""Small studies of real components, run once for all tests of this folder."""

from __future__ import annotations

import pytest

from memtk.study import Base, make_study, run_study

SIZES = (
    "data.phantom.training=8",
    "data.phantom.validation=8",
    "data.phantom.held_out=0",
    "data.phantom.size=8",
    "bench.plants=0",
)


def empty_page(folder, registry):
    path = folder / "report.html"
    path.write_text("a page")
    return path


def undrawn(patch):
    """Leave pages of cells and figures out: tests/report is about them."""
    patch.setattr("memtk.bench.run.build_report", empty_page)
    patch.setattr("memtk.report.study.draw_study", lambda study, settings: {})


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    undrawn(monkeypatch)


@pytest.fixture(scope="session")
def base():
    """`base(generator="copycat", similarity="ncc", sets=(), **asked)`: what cells share."""

    def make(generator="copycat", similarity="ncc", sets=(), suite="phantom3d", **asked):
        asked |= {"preset": "smoke"} | ({"similarity": similarity} if similarity else {})
        asked |= {"generator": (generator,)} if generator else {}
        return Base(asked, suite=suite, sets=(*SIZES, *sets))

    return make


@pytest.fixture(scope="session")
def finished(tmp_path_factory, registry, base):
    """A study of three cells without training, to be read only."""
    folder = tmp_path_factory.mktemp("study") / "three"
    plan = make_study(base(), ["copycat.rate=0,0.5,1"], registry)
    with pytest.MonkeyPatch.context() as patch:
        undrawn(patch)
        return run_study(plan, registry, out=folder, device="cpu")
