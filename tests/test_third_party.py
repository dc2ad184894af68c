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

SESSION = """
import contextlib, io, json, os, runpy, sys
from click.testing import CliRunner
from memtk.cli import cli
from memtk.report import page
page.both_widths = lambda draw: ("", "")  # figures, which take longer than the runs
said = []
for environ, module, *words in json.loads(sys.argv[1]):
    os.environ.update(environ)
    if module == "memtk":
        done = CliRunner().invoke(cli, words)
        code, output = done.exit_code, done.output + repr(done.exception or "")
    else:
        sys.argv, code, out = [module, *words], 0, io.StringIO()
        with contextlib.redirect_stdout(out):
            try:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            except SystemExit as end:
                code = int(end.code or 0)
        output = out.getvalue()
    assert code == 0, output
    said.append(output)
print()
print(json.dumps(said))
"""
"""Runs one thing after another in a process, which imports torch but once."""

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

    def session(self, *commands):
        """Run (environment, module, words ...) one after another; return what each says."""
        words = [[environ, *map(str, more)] for environ, *more in commands]
        return json.loads(self.run("-c", SESSION, json.dumps(words)).splitlines()[-1])

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


def own_tests(package, folder):
    """Return the command that runs a package's own tests."""
    folder.mkdir()
    shutil.copy(package / "tests" / "test_rules.py", folder)
    return ({}, "pytest", "-q", "-s", "-p", "no:cacheprovider", "--rootdir", folder, folder)


def counted(shown):
    """Return how many tests passed, and how many were skipped; none failed."""
    passed, skipped = re.search(r"(\d+) passed, (\d+) skipped", shown).groups()
    return int(passed), int(skipped)


@pytest.fixture(scope="module")
def benched(fresh, tmp_path_factory):
    """What the kit, the example's own tests and a bench with it say; the bench's folder."""
    folder = tmp_path_factory.mktemp("benched")
    bench = ["memtk", "bench", "--preset", "smoke", "--out", folder / "run"]
    bench += ["--generator", "gaussian", "--generator", "copycat"]
    bench += ["--embedder", "thumbnail", "--similarity", "manhattan"]
    bench += ["--mitigation", "grain", "--set", "gaussian.temperature=0.5"]
    bench += ["--set", "data.phantom.training=8", "--set", "data.phantom.validation=20"]
    kit, tests, _ = fresh.session(
        ({}, "memtk", "plugins", "test", "memtk-example"),
        own_tests(EXAMPLE, folder / "tests"),
        ({"MEMTK_EXAMPLE_LOG": str(folder / "events")}, *bench),
    )
    return kit, tests, folder


@pytest.fixture(scope="module")
def driven(roads, tmp_path_factory):
    """What the kit, their own tests and their training say of the roads; a bench of them."""
    folder = tmp_path_factory.mktemp("driven")
    bench = ["memtk", "bench", "--preset", "smoke", "--out", folder / "run"]
    for name in ("class-mean", "images", "command", "copycat"):
        bench += ["--generator", name]
    bench += ["--condition", "lesions", "--similarity", "ncc", "--samples", "20"]
    program = f"{roads.python.as_posix()} -m memtk_roads.draw {{folder}} {{count}} {{seed}}"
    sets = (f"command.run={program}", f"images.source={folder / 'made'}", "data.source=phantom2d")
    sets += (f"command.folder={folder / 'kept'}", "command.count=20", "data.phantom.size=16")
    for each in (*sets, "data.phantom.training=20", "data.phantom.validation=20"):
        bench += ["--set", each]
    kit, tests, watched, _, _ = roads.session(
        ({}, "memtk", "plugins", "test", "roads"),
        own_tests(ROADS, folder / "tests"),
        ({}, "memtk_roads.watch"),
        ({}, "memtk_roads.draw", folder / "made", 20, 1),
        ({}, *bench),
    )
    return kit, tests, watched, folder / "run"


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


def test_it_passes_the_conformance_kit_on_the_command_line(benched):
    shown, _, _ = benched
    assert shown.count("(generator of memtk-example 0.3.1)") == 2
    assert "pgm (reader of memtk-example 0.3.1)" in shown
    assert "failed" not in shown and " passed, " in shown


def test_its_own_tests_pass_with_one_test_a_rule(benched):
    passed, skipped = counted(benched[1])
    assert passed > 140 > skipped


def test_its_components_take_part_in_a_bench_beside_the_built_ins(benched):
    folder = benched[2]
    cells = [json.loads(path.read_text()) for path in folder.glob("run/cells/*/result.json")]
    used = {cell["components"]["generator"]["name"]: cell["components"] for cell in cells}
    assert used.keys() == {"gaussian", "copycat"}
    assert used["copycat"]["generator"]["distribution"] == "memtk"
    components = used["gaussian"]
    theirs = [components["generator"], components["embedder"], components["similarity"]]
    for component in [*theirs, *components["mitigations"]]:
        assert (component["distribution"], component["version"]) == ("memtk-example", "0.3.1")
    assert "memtk-example has seen gaussian+grain" in (folder / "run/report.html").read_text()
    heard = (folder / "events").read_text().splitlines()
    assert any(line.startswith("end\ttraining gaussian") for line in heard)


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


def test_a_conditional_generator_of_somebody_else_passes_the_kit(driven):
    shown = driven[0]
    assert shown.count("(generator of memtk-roads 0.1.0)") == 3
    assert "failed" not in shown
    assert len(re.findall(r"passed +samples follow their condition", shown)) == 3


def test_their_program_and_the_folder_it_wrote_pass_the_kit(driven):
    passed, skipped = counted(driven[1])
    assert passed > 100 > skipped


def test_all_their_roads_lead_into_one_bench(driven):
    cells = [json.loads(path.read_text()) for path in driven[3].glob("cells/*/result.json")]
    last = {cell["cell"]: cell["checkpoints"][-1] for cell in cells}
    assert last.keys() == {"class-mean", "images", "command", "copycat"}
    assert sum(part["n_synthetic"] for part in last["class-mean"]["by_condition"]) == 20
    rates = {name: found["evidence"]["copy_rate"]["estimate"] for name, found in last.items()}
    assert rates["copycat"] > 0.8 > 0.2 > max(rates["images"], rates["command"])


def test_their_training_is_watched_as_it_learns_by_heart(driven):
    found = [json.loads(line) for line in driven[2].splitlines()]
    assert [each["epoch"] for each in found] == [0, 1, 2, 3]
    assert found[-1]["copy_rate_low"] > 0.5 > found[0]["copy_rate_low"]
