"""A plugin that fails in any way is named, and every command works without it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from memtk.cli import cli
from memtk.components import find_component
from memtk.data.readers import Readers
from memtk.data.walk import walk
from memtk.errors import PluginError, UserError, stop
from memtk.plugins import GROUP, find_points, load_plugins
from memtk.registry import Registry

OWN = [point for point in find_points(GROUP) if point.name == "files"]
"""The plugin that reads files."""

GOOD = """
@hookimpl
def memtk_generators():
    return [Component("{name}-ok", "json:JSONDecoder", "A model.")]
"""


MODEL = (
    "from memtk.interfaces import Generator\nclass X(Generator):\n"
    "    def phases(self):\n        return ()\n    def sample(self, noise):\n        pass"
)
"""A generator that makes nothing."""


def hook(body):
    return f"@hookimpl\ndef memtk_generators():\n    {body}\n"


IMPORTS = {
    "exits": "raise SystemExit(0)",
    "base": "class Odd(BaseException):\n    pass\nraise Odd('no')",
    "generator-exit": "raise GeneratorExit",
    "interrupt": "raise KeyboardInterrupt",
    "silent": "class Odd(Exception):\n    def __str__(self):\n        raise ValueError\nraise Odd",
    "recursion": "def f():\n    f()\nf()",
    "syntax": "def (",
    "esc": "raise ValueError('\\x1b[2J')",
}
"""What fails when it is imported, and then is not there."""

HOOKS = {
    "nothing": hook("return None"),
    "number": hook("return 3"),
    "text": hook("return 'monai3d'"),
    "classes": hook("return [int]"),
    "endless": hook("return iter(int, 1)"),
    "dims": hook("return [Component('d', 'a:B', 'A.', dims=3)]"),
    "needs": hook("return [Component('d', 'a:B', 'A.', needs='torch')]"),
    "summary": hook("return [Component('d', 'a:B', None)]"),
    "exits-late": hook("raise SystemExit(0)"),
    "interrupt-late": hook("raise KeyboardInterrupt"),
    "base-late": hook("raise BaseException('no')"),
    "yields-badly": hook("yield 1 / 0"),
    "long-name": hook("return [Component('n' * 10000, 'a:B', 'A.')]"),
    "long-summary": hook("return [Component('d', 'a:B', 'A' * 10000)]"),
    "a-class-of-text": "class Text(str):\n    def __str__(self):\n        raise SystemExit(0)\n"
    + hook("return [Component('d', 'a:B', Text('A.'))]"),
    "a-class-of-component": "class Odd(Component):\n    pass\n"
    + hook("return [Odd('d', 'a:B', 'A.')]"),
    "coroutine": "@hookimpl\nasync def memtk_generators():\n    return []\n",
    "odd-repr": "class Odd:\n    def __repr__(self):\n        raise BaseException\n"
    + GOOD.replace('[Component("{name}-ok", "json:JSONDecoder", "A model.")]', "[Odd()]"),
}
"""What fails when it is asked."""

NOISY = {
    "prints": "print('x')\n" + GOOD,
    "writes": "import sys\nsys.stdout.write('x')\nsys.stdout.buffer if 0 else None\n" + GOOD,
    "closes": "import sys\nsys.stdout.close()\nsys.__stdout__.close()\n" + GOOD,
    "closes-files": "import os\nos.close(1)\n" + GOOD,
    "leads-elsewhere": "import os\n"
    "os.dup2(os.open(os.devnull, os.O_WRONLY), 1)\nos.dup2(1, 2)\n" + GOOD,
    "replaces": "import sys\nsys.stdout = None\n" + GOOD,
    "at-exit": "import atexit, os\natexit.register(print, 'x')\n"
    "atexit.register(os.write, 1, b'x')\n" + GOOD,
    "in-a-thread": "import os, threading\n"
    "def late():\n    threading.main_thread().join()\n    os.write(1, b'x')\n"
    "threading.Thread(target=late).start()\n" + GOOD,
}
"""What works, and disturbs the outputs."""


def install(write_plugin, sources):
    for name, source in sources.items():
        write_plugin(name, source.replace("{name}", name))


def command(tmp_path, *words):
    path = os.pathsep.join([str(tmp_path / "site"), *sys.path])
    return subprocess.run(
        [sys.executable, "-m", "memtk", *words],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path, "COLUMNS": "300"},
        cwd=tmp_path,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("name", [*IMPORTS, *HOOKS])
def test_a_plugin_that_fails_is_named_and_the_others_are_used(name, write_plugin):
    points = [
        write_plugin(name, (IMPORTS | HOOKS)[name]),
        write_plugin("good", GOOD.replace("{name}", "good")),
    ]
    registry = Registry(load_plugins(points))
    assert [entry.name for entry in registry.entries("generator")] == ["good-ok"]
    [warning] = registry.warnings
    assert f"plugin {name!r}" in warning and "\x1b" not in warning
    assert len(warning.splitlines()) == 1


@pytest.mark.parametrize("target", ["json:__version__", "math:pi", "json:nothing", "nothing:X"])
def test_a_class_that_is_none_is_named_when_it_is_used(target, registry_of):
    source = GOOD.replace("{name}", "odd").replace("json:JSONDecoder", target)
    registry = registry_of(source)
    with pytest.raises(PluginError, match="generator 'odd-ok' of plugin 'odd'"):
        registry.load("generator", "odd-ok")


CLASSES = {
    "lacks": ("class X:\n    def sample(self, noise):\n        pass", "is no generator, it lacks"),
    "function": ("def X(*words):\n    pass", "is no generator, it lacks"),
    "abstract": (
        "from memtk.interfaces import Generator\nclass X(Generator):\n    pass",
        "it lacks phases and sample",
    ),
    "config": (f"{MODEL}\n    Config = 3", "its Config is no ComponentConfig"),
    "presets": (f"{MODEL}\n    presets = 3", "its presets are no table"),
}
"""Classes that are no generator, and what is said of them."""


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_that_is_no_component_is_named_with_what_it_lacks(name, write_plugin):
    source, says = CLASSES[name]
    of = GOOD.replace("{name}", name).replace("json:JSONDecoder", "{own}:X")
    point = write_plugin(name, source + of.replace('"{own}:X"', '__name__ + ":X"'))
    registry = Registry(load_plugins([point]))
    with pytest.raises(PluginError, match=f"generator '{name}-ok'.*{says}"):
        find_component(registry, "generator", f"{name}-ok", {}, "smoke")


def test_with_all_of_them_every_command_works_and_json_is_json(write_plugin, tmp_path):
    install(write_plugin, IMPORTS | HOOKS | NOISY)
    listed = command(tmp_path, "list", "generator")
    assert listed.returncode == 0, listed.stderr
    assert "copycat" in listed.stdout and all(f"{name}-ok" in listed.stdout for name in NOISY)
    assert all(f"'{name}'" in listed.stderr for name in (*IMPORTS, *HOOKS))
    shown = command(tmp_path, "plugins")
    assert shown.returncode == 0 and all(name in shown.stdout for name in IMPORTS)
    size = ("--set", "data.phantom.training=8", "--set", "data.phantom.validation=8")
    done = command(tmp_path, "check", "--data", "phantom2d", *size, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accepted"] is True
    done = command(tmp_path, "check", "--data", "phantom2d", *size, "--json", "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["accepted"] is True
    assert "accepted" in done.stdout


ENDS = {
    "exit": "sys.exit(0)",
    "exit-with-a-text": "sys.exit('all is well')",
    "base": "raise type('Odd', (BaseException,), {})('no')",
    "interrupt": "raise KeyboardInterrupt",
}
"""What ends the program, and is no error to Python."""

READER = """
import sys
class Reader:
    suffixes = (".odd",)
    def __init__(self):
        {init}
    def records(self, path):
        {records}
    def read(self, record):
        pass
@hookimpl
def memtk_readers():
    return [Component("odd-reader", __name__ + ":Reader", "Reads nothing.")]
"""


@pytest.fixture
def a_command():
    """A process in which Ctrl-C is handled as in a command."""
    before = signal.signal(signal.SIGINT, stop)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("a_command")
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("where", ["init", "records"])
def test_a_reader_that_ends_the_program_is_a_failure_of_its_own(end, where, registry_of, tmp_path):
    code = {"init": "pass", "records": "pass"} | {where: ENDS[end]}
    registry = registry_of(READER.format(**code))
    (tmp_path / "a.odd").write_text("x")
    with pytest.raises(UserError, match="odd"):  # named, and no exit
        Readers(registry).records(tmp_path / "a.odd")


STRANGERS = {
    "suffixes": "suffixes = None",
    "suffixes-of-numbers": "suffixes = (3,)",
    "suffixes-raise": "suffixes = property(lambda self: sys.exit(0))",
    "claims": "suffixes = ('.odd',)\n    def claims(self, path):\n        sys.exit(0)",
    "check-whole": "suffixes = ('.odd',)\n    def check_whole(self, of):\n        sys.exit(0)",
}
"""What fails of a reader that is asked about files of others."""


@pytest.mark.parametrize("name", STRANGERS)
def test_a_reader_that_fails_leaves_files_of_others_alone(name, registry_of, tmp_path):
    source = READER.format(init="pass", records="pass")
    source = source.replace('suffixes = (".odd",)', STRANGERS[name])
    readers = Readers(registry_of(source, *OWN))
    np.save(tmp_path / "a.npy", np.zeros((9, 8)))
    (tmp_path / "b").write_bytes(b"x")
    found = walk(tmp_path, readers)
    assert [record.path.name for record in found.records] == ["a.npy"]
    assert "odd-reader" in readers.way_out([])


AFFINES = ("zeros((4, 4))", "diag([1.0, 1, 0, 1])", "ones((4, 4))", "full((4, 4), 'nan')")


@pytest.mark.parametrize("affine", AFFINES)
def test_an_affine_that_turns_axes_into_nothing_is_refused(affine, registry_of, tmp_path):
    source = READER.replace("def read(self, record):\n        pass", "def read(self, record):\n"
        "        import numpy as np; from memtk.interfaces import Volume\n"
        f"        return Volume(np.zeros((1, 8, 8, 8)), (1, 1, 1), np.{affine}.astype(float))"
    )  # fmt: skip
    code = "from memtk.interfaces import Record; return [Record(path)]"
    readers = Readers(registry_of(source.format(init="pass", records=code)))
    (tmp_path / "a.odd").write_text("x")
    with pytest.raises(UserError, match="the reader odd-reader gives an affine"):
        readers.read(readers.records(tmp_path / "a.odd")[0])


WHYS = {
    "nothing": "None", "a list": "['a']", "a number": "3", "numbers": "{3: 'x'}",
    "markup": "{p: '\\x1b[2J\\n[red]' for p in images}", "no reason": "{p: None for p in images}",
}  # fmt: skip


@pytest.mark.parametrize("name", WHYS)
def test_what_a_reader_says_of_the_images_of_others_is_a_reason_or_nothing(
    name, registry_of, tmp_path
):
    said = f"suffixes = ('.odd',)\n    def left_out(self, images):\n        return {WHYS[name]}"
    source = READER.format(init="pass", records="pass")
    readers = Readers(registry_of(source.replace('suffixes = (".odd",)', said), *OWN))
    found = readers.left_out({tmp_path / "a.npy"}, {tmp_path / "b.npy"})
    assert len(found) in (0, 1, 2) and all(type(why) is str for why in found.values())
    assert "\x1b" not in str([*found.values()][:1]) and (name != "markup" or len(found) == 2)


@pytest.mark.usefixtures("a_command")
@pytest.mark.parametrize("end", ENDS)
def test_code_that_ends_the_program_within_a_command_is_named(end, monkeypatch):
    space = {"__name__": "stranger", "sys": sys}
    exec(f"def ends(*words, **how):\n    {ENDS[end]}", space)
    monkeypatch.setattr("memtk.data.checks.examination.examine", space["ends"])
    done = CliRunner().invoke(cli, ["check", "--data", "phantom2d"])
    assert done.exit_code == 2 and "code of stranger has ended the program" in done.output


def test_a_plugin_whose_code_fails_in_a_command_is_named_below_the_trace(write_plugin, monkeypatch):
    code = "def fails(*words, **how):\n    raise ValueError('no [red]way')\n"
    point = write_plugin("weak", code + GOOD.replace("{name}", "weak"))
    monkeypatch.setattr("memtk.data.checks.examination.examine", point.load().fails)
    done = CliRunner().invoke(cli, ["check", "--data", "phantom2d"])
    assert done.exit_code == 2 and "Traceback" in done.output
    last = " ".join(done.output.split())
    assert "plugin 'weak' of" in last and last.endswith("ValueError: no [red]way"), last


def test_a_module_that_is_needed_is_looked_for_and_not_run(registry_of, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "__init__.py").write_text("raise SystemExit(0)")
    monkeypatch.syspath_prepend(str(tmp_path))
    source = GOOD.replace("{name}", "odd").replace('"A model."', '"A model.", needs=("runs.a",)')
    registry = registry_of(source)
    assert not registry.find("generator", "odd-ok").missing


def test_what_a_plugin_prints_while_a_command_runs_stands_before_no_json(write_plugin, tmp_path):
    source = """
        import os, sys
        @hookimpl
        def memtk_run_event(event):
            print("x")
            os.write(1, b"x")
            os.system("echo x")
            raise BaseException("no")
    """
    write_plugin("watcher", source)
    size = ("--set", "data.phantom.training=8", "--set", "data.phantom.validation=8")
    done = command(tmp_path, "check", "--data", "phantom2d", *size, "--json", "-")
    assert done.returncode == 0 and json.loads(done.stdout)["accepted"] is True, done.stderr
    assert "memtk_run_event failed" in done.stderr and "x" in done.stderr


@pytest.mark.parametrize("where", ["init", "records", "read"])
def test_a_reader_that_raises_an_interrupt_is_named_and_the_json_is_there(
    where, write_plugin, tmp_path
):
    fine = {"init": "pass", "records": "from memtk.interfaces import Record; return [Record(path)]"}
    code = fine | {where: "raise KeyboardInterrupt"}
    source = READER.replace(
        "def read(self, record):\n        pass", "def read(self, record):\n        {read}"
    )
    write_plugin("odd", source.format(**{"read": "pass"} | code))
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.odd").write_text("x")
    done = command(tmp_path, "check", "--train", "train", "--val", "val", "--json", "-")
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert json.loads(done.stdout)["accepted"] is False and "odd" in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="no such signals here")
def test_a_person_stops_a_reader_of_a_plugin_that_takes_for_ever(write_plugin, tmp_path):
    wait = "import time; print('begun', file=sys.stderr, flush=True); time.sleep(60)"
    write_plugin("odd", READER.format(init="pass", records=wait))
    (tmp_path / "a.odd").write_text("x")
    path = os.pathsep.join([str(tmp_path / "site"), *sys.path])
    with subprocess.Popen(
        [sys.executable, "-m", "memtk", "check", "--data", "a.odd"],
        env=os.environ | {"PYTHONPATH": path},
        cwd=tmp_path,
        text=True,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stderr.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said.splitlines()[-1].startswith("Error: stopped"), said


def test_a_plugin_that_leaves_the_folder_has_nothing_written_elsewhere(
    write_plugin, tmp_path, monkeypatch
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    registry = Registry(
        load_plugins([write_plugin("odd", f"import os\nos.chdir({str(tmp_path / 'elsewhere')!r})")])
    )
    assert Path.cwd() == tmp_path and not registry.entries("protocol")
