"""Names, streams and limits of the operating system: a sentence, or the right thing."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from memtk.cli import cli
from memtk.errors import Stopped, UserError
from memtk.files import write_text
from memtk.folders import claim, kind_of

REAL = Path(__file__).parents[1] / "results/result-schema-3.json"
SHOW = f"results show {shlex.quote(str(REAL))}"


def shell(line, folder, **environment):
    """Run a line in which `memtk` is the program; return exit status, stdout and stderr."""
    program = f"{shlex.quote(sys.executable)} -m memtk"
    return subprocess.run(
        ["bash", "-c", line.replace("memtk", program, 1)],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        timeout=120,
        check=False,
    )


STREAMS = {
    f"memtk {SHOW} > /dev/full": 2,
    "memtk list > /dev/full": 2,
    "memtk reference --json > /dev/full": 2,
    f"memtk {SHOW} >&-": 0,
    f"memtk {SHOW} <&- 2>&-": 0,
    f"memtk {SHOW} | head -c 1 > /dev/null": 0,
    "(ulimit -f 4; memtk data make phantom3d made --training 2)": 2,
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("line", STREAMS)
def test_a_stream_that_cannot_be_written_is_a_sentence(line, tmp_path):
    done = shell(line, tmp_path)
    assert done.returncode == STREAMS[line], done.stderr
    assert b"Traceback" not in done.stderr and not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [SHOW, "list", "check --data phantom2d", "data list"])
def test_a_command_that_nobody_reads_to_its_end_says_nothing_of_it(words, tmp_path):
    done = shell(f"memtk {words} | true", tmp_path)
    assert b"Error" not in done.stderr and b"Traceback" not in done.stderr


SURROUNDINGS = {
    "SOURCE_DATE_EPOCH=x memtk": (2, b"SOURCE_DATE_EPOCH"),
    "SOURCE_DATE_EPOCH= memtk": (2, b"SOURCE_DATE_EPOCH"),
    "SOURCE_DATE_EPOCH=-5 memtk": (2, b"SOURCE_DATE_EPOCH"),
    "SOURCE_DATE_EPOCH=99999999999999 memtk": (2, b"SOURCE_DATE_EPOCH"),
    "SOURCE_DATE_EPOCH=0 MPLBACKEND=nonsense COLUMNS=abc TMPDIR=/no HOME=/no memtk": (0, b""),
    "MPLBACKEND= memtk": (0, b""),
    "ulimit -v 400000; memtk": (2, b"raise the limit"),
    "ulimit -v 800000; memtk": (2, b"raise the limit"),
    "mkdir gone; cd gone; rmdir ../gone; memtk": (2, b"change into another one"),
}
"""Where the program is started, the exit status of `memtk check`, and what it says."""


@pytest.mark.parametrize("line", SURROUNDINGS)
def test_a_folder_or_variables_that_libraries_fail_on_are_a_sentence(line, tmp_path):
    size = "--set data.phantom.training=8 --set data.phantom.validation=8"
    done = shell(f"{line} check --data phantom2d {size} --json -", tmp_path)
    code, says = SURROUNDINGS[line]
    assert done.returncode == code and says in done.stderr, done.stderr
    assert b"Traceback" not in done.stderr and b"FATAL" not in done.stderr
    assert not code or len(done.stderr.splitlines()) == 1


def test_figures_are_drawn_whatever_backend_is_asked_for(world, tmp_path):
    shutil.copytree(world["audit"], tmp_path / "run")
    done = shell("MPLBACKEND=nonsense memtk report run", tmp_path)
    assert done.returncode == 0 and (tmp_path / "run/report.html").stat().st_size, done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_of_any_encoding_shows_what_it_can(encoding, tmp_path):
    done = shell(f"memtk {SHOW}", tmp_path, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 0 and b"monai2d" in done.stdout, done.stderr


NAMES = (b"x" * 300, b"line\nbreak", b"[red]x[/red]", b"[/x]", b"\x1b[2J", b"a;b", b"-x")


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:12]))
def test_any_name_of_a_folder_is_used_or_refused_in_a_sentence(name, world, tmp_path):
    place = os.fsdecode(os.fsencode(tmp_path) + b"/" + name)
    for words in (
        ("data", "make", "phantom2d", place, "--training", "1"),
        ("leaderboard", str(world["all"]), "--out", place + "-site"),
        ("results", "add", str(world["results"]), place + "-all"),
        ("check", "--data", place + "/manifest.csv"),
    ):
        done = CliRunner().invoke(cli, words)
        assert isinstance(done.exception, SystemExit | None), (words, done.exception)
        assert done.exit_code in (0, 2, 3) and "\x1b" not in done.stderr


def test_a_folder_whose_name_is_no_utf_8_is_written(tmp_path):
    done = shell("memtk data make phantom2d $'no \\xff' --training 1", tmp_path)
    assert done.returncode == 0 and b"manifest: no ?" in done.stdout, done.stderr
    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [b"no \xff"]


@pytest.mark.parametrize("place", ["/proc/x", "/dev/null/x", "/dev/null"])
def test_places_in_which_nothing_can_be_are_a_sentence(place, world):
    bench = ("--generator", "copycat", "--suite", "phantom2d", "--preset", "smoke")
    for words in (
        ("bench", *bench, "--out", place),
        ("data", "make", "phantom2d", place, "--training", "1"),
        ("leaderboard", str(world["all"]), "--out", place),
        ("plugins", "new", "my-model", place),
        ("check", "--data", place),
    ):
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 2 and isinstance(done.exception, SystemExit), (words, done)


@pytest.mark.parametrize("name", [b"\xff.npy", b"\x1b[a].npy"])
def test_images_of_any_name_are_read(name, tmp_path):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        for number in range(2):
            place = os.fsencode(tmp_path / split) + f"/{split}{number}".encode() + name
            with open(place, "wb") as file:
                np.save(file, np.random.default_rng(number).normal(size=(16, 16)))
    words = ("--train", str(tmp_path / "train"), "--val", str(tmp_path / "val"))
    done = CliRunner().invoke(cli, ["check", *words])
    assert isinstance(done.exception, SystemExit | None) and done.exit_code in (0, 2)
    assert "\x1b" not in done.output


@pytest.mark.parametrize("place", ["/proc/x.json", "gone/x.json"])
def test_a_file_that_cannot_be_made_is_named_and_no_temporary_one(place, tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    folder.rmdir()
    name = place.removeprefix("gone/")
    with pytest.raises(UserError, match=f"cannot write {name}: no file can be made there"):
        write_text(Path(name), "{}")


def test_a_source_whose_name_is_no_utf_8_is_a_sentence(tmp_path):
    for name in (b"no\xff", b"\xed\xa0\x80", b"a\n\xfe"):
        words = ["check", "--data", os.fsdecode(name)]
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 2 and "it is not in UTF-8, rename it" in done.output


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["test_list.txt", "train_val_list.txt", "manifest.csv"])
@pytest.mark.parametrize("kind", ["pipe", "device", "32 GB"])
def test_what_lies_beside_images_and_has_no_end_is_refused_at_once(name, kind, tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(16, 16)))
    endless(tmp_path / name, kind)
    done = CliRunner().invoke(cli, ["check", "--data", str(tmp_path)])
    assert done.exit_code == 2 and "images are found" in done.output
    assert kind == "32 GB" or name.startswith(("train", "manifest")) or "plain file" in done.output


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("kind", ["pipe", "device", "32 GB"])
def test_a_description_of_a_decathlon_that_has_no_end_is_refused_at_once(kind, tmp_path):
    (tmp_path / "imagesTr").mkdir()
    np.save(tmp_path / "imagesTr/a.npy", np.random.default_rng(0).normal(size=(16, 16)))
    endless(tmp_path / "dataset.json", kind)
    done = CliRunner().invoke(cli, ["check", "--data", str(tmp_path)])
    assert done.exit_code == 2 and "dataset.json: it" in done.output.replace("\n", "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["leaderboard.csv", "run.json", "study.json", ".memtk"])
def test_a_pipe_called_as_memtks_own_files_is_not_waited_for(name, tmp_path):
    endless(tmp_path / name, "pipe")
    assert kind_of(tmp_path) is None
    with pytest.raises(UserError, match="what memtk did not write"):
        claim(tmp_path)


def endless(path, kind):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(2**35)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("kind", ["pipe", "32 GB"])
@pytest.mark.parametrize("name", [".memtk", "key", "data/contents.json", "data/*.h5"])
def test_what_has_no_end_in_a_run_folder_is_made_anew_or_a_sentence(name, kind, world, tmp_path):
    run = shutil.copytree(world["audit"], tmp_path / "run")
    [path] = run.glob(name)
    path.unlink()
    endless(path, kind)
    made = world["audit"].parent / "made"
    sources = [("--train", "train"), ("--val", "validation"), ("--synthetic", "synthetic")]
    words = [word for option, split in sources for word in (option, str(made / split))]
    how = ("--similarity", "ncc", "--plants", "2", "--out", str(run))
    begin = time.monotonic()
    for command in (["audit", *words, *how], ["report", str(run)]):
        done = CliRunner().invoke(cli, command)
        assert isinstance(done.exception, SystemExit | None), done.exception
    assert time.monotonic() - begin < 20


WAIT = """
import pathlib, sys, tempfile
from memtk.cli import main
import memtk.data.checks.examination as examination

def wait(*words, **how):
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "images").write_bytes(b"x")
        print("begun", flush=True)
        sys.stdin.read()

examination.examine = wait
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="no such signals here")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_that_ends_a_command_leaves_a_sentence_and_nothing_else(name, tmp_path):
    words = [sys.executable, "-c", WAIT, "check", "--data", "phantom2d"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    where, sent = os.environ | {"TMPDIR": str(tmp_path)}, getattr(signal, name)

    def heard():  # the tests may run where it is ignored, as below nohup
        signal.signal(sent, signal.SIG_DFL)

    with subprocess.Popen(words, env=where, text=True, preexec_fn=heard, **pipes) as process:
        assert process.stdout.readline() == "begun\n" and list(tmp_path.iterdir())
        process.send_signal(sent)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said.splitlines()[-1].startswith("Error: stopped"), said
    assert "Traceback" not in said and not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="no such signals here")
def test_a_command_that_nohup_started_does_not_hear_that_the_terminal_is_closed(tmp_path):
    line = f"nohup {shlex.quote(sys.executable)} -c {shlex.quote(WAIT)} check --data phantom2d"
    with subprocess.Popen(
        ["bash", "-c", f"exec {line}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        process.kill()


def test_an_interrupt_that_python_wrapped_is_one(monkeypatch):
    class Stops:
        def __set_name__(self, owner, name):
            raise Stopped

    monkeypatch.setattr(
        "memtk.data.checks.examination.examine", lambda *_, **__: type("A", (), {"b": Stops()})
    )
    done = CliRunner().invoke(cli, ["check", "--data", "phantom2d"])
    assert done.exit_code == 130 and "Error: stopped" in done.output


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_folder_in_which_none_can_be_made_is_named_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.chdir("/proc")
    for place in ("runs/a", "/proc/x", "/proc/self/fdinfo/x"):
        with pytest.raises(UserError, match=r"cannot write .*: no folder can be made.*--out"):
            claim(Path(place))


USED_UP = {
    "python": MemoryError(),
    "numpy": MemoryError("Unable to allocate 3.64 TiB for an array with shape (10**12,)"),
    "torch": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 TB"),
    "cuda": RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    "threads": RuntimeError("can't start new thread"),
    "import": ImportError("libtorch_cpu.so: failed to map segment from shared object"),
}
"""What is raised where there is no memory left."""


@pytest.mark.parametrize("name", USED_UP)
def test_where_memory_runs_out_a_sentence_says_what_takes_less(name, monkeypatch):
    def fails(*words, **how):
        raise USED_UP[name]

    monkeypatch.setattr("memtk.data.checks.examination.examine", fails)
    done = CliRunner().invoke(cli, ["check", "--data", "phantom2d"])
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit)
    said = done.output.splitlines()[-1]
    assert said.startswith("Error: there is not enough memory") and "batch_size" in said


def test_an_error_that_is_not_about_memory_stays_one_of_memtk(monkeypatch):
    def fails(*words, **how):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr("memtk.data.checks.examination.examine", fails)
    done = CliRunner().invoke(cli, ["check", "--data", "phantom2d"])
    assert isinstance(done.exception, RuntimeError)
