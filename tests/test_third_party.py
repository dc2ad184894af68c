"""A package of somebody else's, installed as they would, joins with all its components."""

from __future__ import annotations

import json
import os
import re
import shutil
import site
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "tests" / "third_party" / "memtk-example"
ROADS = ROOT / "tests" / "third_party" / "memtk-roads"
TUTORIAL = ROOT / "docs" / "how-to" / "write-a-plugin.md"

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


@dataclass(frozen=True)
class Environment:
    """A virtual environment of its own, which sees the packages of this one."""

    python: Path

    def run(self, *arguments, expect=0, **environ):
        done = subprocess.run(
            [str(self.python), *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "200", **environ},
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    def pip(self, *arguments):
        # pip is taken from this environment, and needs no network
        command = [sys.executable, "-m", "pip", "--python", str(self.python), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def listed(self, **environ):
        return json.loads(self.run("-c", LIST, **environ))


def environment_with(package, folder):
    """Return a fresh environment below a folder, with a package installed in it."""
    venv.create(folder / "env", with_pip=False, symlinks=os.name != "nt")
    (packages,) = (folder / "env").rglob("site-packages")
    lines = [f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages()]
    (packages / "outer.pth").write_text("".join(lines))
    programs = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    environment = Environment(programs / "python")
    assert environment.listed()["components"] == []
    source = folder / "source"
    shutil.copytree(package, source)  # a build leaves files beside its source
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--no-compile"]
    environment.pip("install", *options, "--disable-pip-version-check", str(source))
    return environment


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A fresh environment, with the example installed in it."""
    return environment_with(EXAMPLE, tmp_path_factory.mktemp("third-party"))


@pytest.fixture(scope="module")
def roads(tmp_path_factory):
    """Another one, with somebody's models on each road installed in it."""
    return environment_with(ROADS, tmp_path_factory.mktemp("roads"))


def own_tests(environment, package, folder):
    """Return how many of a package's own tests passed, and how many were skipped; none failed."""
    shutil.copy(package / "tests" / "test_rules.py", folder)
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", folder]
    shown = environment.run("-m", "pytest", *options, folder)
    passed, skipped = re.search(r"(\d+) passed, (\d+) skipped", shown).groups()
    return int(passed), int(skipped)


def test_its_components_are_listed_under_its_own_name_and_version(fresh):
    found = fresh.listed()
    assert found["components"] == COMPONENTS
    assert found["warnings"] == [] and found["others"] == ["memtk"]
    assert found["heavy"] == [], "listing it imports its components"


def test_it_can_be_blocked_by_name(fresh):
    assert fresh.listed(MEMTK_DISABLE_PLUGINS="example")["components"] == []
    assert fresh.listed(MEMTK_PLUGINS="example")["others"] == []


def test_the_command_shows_where_it_comes_from(fresh):
    assert "memtk-example 0.3.1" in fresh.run("-m", "memtk", "plugins")


def test_it_hears_of_every_event_of_a_run(fresh, tmp_path):
    log = tmp_path / "events"
    fresh.run("-c", WATCH, MEMTK_EXAMPLE_LOG=str(log))
    assert log.read_text().splitlines() == [f"step\ttraining gaussian: fit\t{i}" for i in range(3)]


def test_it_passes_the_conformance_kit_on_the_command_line(fresh):
    shown = fresh.run("-m", "memtk", "plugins", "test", "memtk-example")
    assert shown.count("(generator of memtk-example 0.3.1)") == 2
    assert "pgm (reader of memtk-example 0.3.1)" in shown
    assert "failed" not in shown and " passed, " in shown


def test_its_own_tests_pass_with_one_test_a_rule(fresh, tmp_path):
    passed, skipped = own_tests(fresh, EXAMPLE, tmp_path)
    assert passed > 140 > skipped


def test_its_components_take_part_in_a_bench_beside_the_built_ins(fresh, tmp_path):
    log, run = tmp_path / "events", tmp_path / "run"
    command = ["-m", "memtk", "bench", "--preset", "smoke", "--out", run]
    command += ["--generator", "gaussian", "--generator", "copycat"]
    command += ["--embedder", "thumbnail", "--similarity", "manhattan"]
    command += ["--mitigation", "grain", "--set", "gaussian.temperature=0.5"]
    command += ["--set", "data.phantom.training=8", "--set", "data.phantom.validation=20"]
    fresh.run(*command, MEMTK_EXAMPLE_LOG=str(log))
    cells = [json.loads(path.read_text()) for path in run.glob("cells/*/result.json")]
    used = {cell["components"]["generator"]["name"]: cell["components"] for cell in cells}
    assert used.keys() == {"gaussian", "copycat"}
    assert used["copycat"]["generator"]["distribution"] == "memtk"
    components = used["gaussian"]
    theirs = [components["generator"], components["embedder"], components["similarity"]]
    for component in [*theirs, *components["mitigations"]]:
        assert (component["distribution"], component["version"]) == ("memtk-example", "0.3.1")
    assert "memtk-example has seen gaussian+grain" in (run / "report.html").read_text()
    assert any(line.startswith("end\ttraining gaussian") for line in log.read_text().splitlines())


def test_once_it_is_removed_its_components_are_gone(fresh):
    fresh.pip("uninstall", "--quiet", "--yes", "memtk-example")
    found = fresh.listed()
    assert found["components"] == [] and found["others"] == ["memtk"]


def test_the_tutorial_is_this_package_file_by_file():
    shown = dict(
        re.findall(r"^`([\w./-]+)`:?\n\n```\w+\n(.*?)```", TUTORIAL.read_text(), re.M | re.S)
    )
    files = {
        str(path.relative_to(EXAMPLE)): path.read_text()
        for path in [EXAMPLE / "pyproject.toml", *EXAMPLE.glob("*/*.py")]
    }
    assert shown == files


def test_a_conditional_generator_of_somebody_else_passes_the_kit(roads):
    shown = roads.run("-m", "memtk", "plugins", "test", "roads")
    assert shown.count("(generator of memtk-roads 0.1.0)") == 3
    assert "failed" not in shown
    assert len(re.findall(r"passed +samples follow their condition", shown)) == 3


def test_their_program_and_the_folder_it_wrote_pass_the_kit(roads, tmp_path):
    passed, skipped = own_tests(roads, ROADS, tmp_path)
    assert passed > 100 > skipped


def test_all_their_roads_lead_into_one_bench(roads, tmp_path):
    made = tmp_path / "made"
    roads.run("-m", "memtk_roads.draw", made, "20", "1")
    command = ["-m", "memtk", "bench", "--preset", "smoke", "--out", tmp_path / "run"]
    for name in ("class-mean", "images", "command", "copycat"):
        command += ["--generator", name]
    command += ["--condition", "lesions", "--similarity", "ncc", "--samples", "20"]
    program = f"{roads.python.as_posix()} -m memtk_roads.draw {{folder}} {{count}} {{seed}}"
    sets = (f"command.run={program}", f"images.source={made}", "data.source=phantom2d")
    sets += (f"command.folder={tmp_path / 'kept'}", "command.count=20", "data.phantom.size=16")
    for each in (*sets, "data.phantom.training=20", "data.phantom.validation=20"):
        command += ["--set", each]
    roads.run(*command)
    cells = [
        json.loads(path.read_text()) for path in (tmp_path / "run").glob("cells/*/result.json")
    ]
    last = {cell["cell"]: cell["checkpoints"][-1] for cell in cells}
    assert last.keys() == {"class-mean", "images", "command", "copycat"}
    assert sum(part["n_synthetic"] for part in last["class-mean"]["by_condition"]) == 20
    rates = {name: found["evidence"]["copy_rate"]["estimate"] for name, found in last.items()}
    assert rates["copycat"] > 0.8 > 0.2 > max(rates["images"], rates["command"])


def test_their_training_is_watched_as_it_learns_by_heart(roads):
    found = [json.loads(line) for line in roads.run("-m", "memtk_roads.watch").splitlines()]
    assert [each["epoch"] for each in found] == [0, 1, 2, 3]
    assert found[-1]["copy_rate_low"] > 0.5 > found[0]["copy_rate_low"]
