"""A package of somebody else's, installed as they would, joins with all its components."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent / "third_party" / "memtk-example"

LIST = """
import json, sys
from memtk.component import KINDS
from memtk.registry import open_registry
registry = open_registry()
entries = [e for kind in KINDS for e in registry.entries(kind)]
print(json.dumps({
    "components": sorted(
        [e.kind, e.name, e.plugin.distribution, e.plugin.version]
        for e in entries if e.plugin.name == "example"
    ),
    "others": sorted({e.plugin.distribution for e in entries if e.plugin.name != "example"}),
    "warnings": registry.warnings,
    "heavy": [m for m in ("torch", "numpy", "memtk_example.gaussian") if m in sys.modules],
}))
"""

WATCH = """
from memtk.events import Event
from memtk.registry import open_registry
hook = open_registry().host.manager.hook.memtk_run_event
for step in range(3):
    hook(event=Event("step", "training gaussian: fit", step, 3))
"""

COMPONENTS = [
    [kind, name, "memtk-example", "0.3.1"]
    for kind, name in [
        ("embedder", "thumbnail"),
        ("generator", "gaussian"),
        ("mitigation", "grain"),
        ("reader", "pgm"),
        ("report", "colophon"),
        ("similarity", "manhattan"),
    ]
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder into which the example is installed, as on a machine without a network."""
    folder = tmp_path_factory.mktemp("third-party")
    source = folder / "source"
    shutil.copytree(EXAMPLE, source)  # a build leaves files beside its source
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--no-compile"]
    command += ["--target", str(folder / "site"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "site"


def python(*arguments, site=None, **environ):
    path = os.pathsep.join(filter(None, [str(site or ""), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200", **environ},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def listed(site, **environ):
    return json.loads(python("-c", LIST, site=site, **environ))


def test_its_components_are_listed_under_its_own_name_and_version(site):
    found = listed(site)
    assert found["components"] == COMPONENTS
    assert found["warnings"] == [] and found["others"] == ["memtk"]


def test_listing_it_imports_none_of_its_components(site):
    assert listed(site)["heavy"] == []


def test_where_it_is_not_installed_its_components_are_gone(site, tmp_path):
    moved = tmp_path / "site"
    shutil.copytree(site, moved)
    assert listed(moved)["components"] == COMPONENTS
    shutil.rmtree(moved)
    found = listed(moved)
    assert found["components"] == [] and found["others"] == ["memtk"]


def test_it_can_be_blocked_by_name(site):
    assert listed(site, MEMTK_DISABLE_PLUGINS="example")["components"] == []
    assert listed(site, MEMTK_PLUGINS="example")["others"] == []


def test_the_command_shows_where_it_comes_from(site):
    assert "memtk-example 0.3.1" in python("-m", "memtk", "plugins", site=site)


def test_it_hears_of_every_event_of_a_run(site, tmp_path):
    log = tmp_path / "events"
    python("-c", WATCH, site=site, MEMTK_EXAMPLE_LOG=str(log))
    assert log.read_text().splitlines() == [f"step\ttraining gaussian: fit\t{i}" for i in range(3)]


def test_its_own_tests_pass_with_the_conformance_kit(site, tmp_path):
    shutil.copy(EXAMPLE / "tests" / "test_rules.py", tmp_path)
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    assert "4 passed" in python(*arguments, str(tmp_path), site=site)


def test_its_components_take_part_in_a_bench(site, tmp_path):
    log, run = tmp_path / "events", tmp_path / "run"
    command = ["-m", "memtk", "bench", "--preset", "smoke", "--out", str(run)]
    command += ["--generator", "gaussian", "--embedder", "thumbnail", "--similarity", "manhattan"]
    command += ["--mitigation", "grain", "--set", "gaussian.temperature=0.5"]
    command += ["--set", "data.phantom.training=8", "--set", "data.phantom.validation=20"]
    python(*command, site=site, MEMTK_EXAMPLE_LOG=str(log))
    (result,) = run.glob("cells/*/result.json")
    components = json.loads(result.read_text())["components"]
    used = [components["generator"], components["embedder"], components["similarity"]]
    for component in [*used, *components["mitigations"]]:
        assert (component["distribution"], component["version"]) == ("memtk-example", "0.3.1")
    assert "memtk-example has seen the cell gaussian+grain" in (run / "report.html").read_text()
    assert any(line.startswith("end\ttraining gaussian") for line in log.read_text().splitlines())
