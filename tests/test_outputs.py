from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from memtk.errors import Stopped
from memtk.outputs import alone_on_stdout, shielded


def test_what_a_block_prints_goes_to_stderr(capfd):
    with shielded():
        sys.stdout.write("a\n")
        sys.stdout.close()
        sys.stdout.write("b\n")
    sys.stdout.write("c\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("c\n", "a\nb\n")


def test_outputs_that_a_block_closes_are_opened_again(capfd):
    with shielded():
        os.close(1)
    os.write(1, b"x")
    assert capfd.readouterr().out == "x"


def test_stdout_belongs_to_one_alone_until_the_end(capfd, monkeypatch):
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    with alone_on_stdout() as mine:
        sys.stdout.write("a\n")
        os.write(1, b"b\n")
        mine.write("{}\n")
    sys.stdout.write("c\n")
    os.write(1, b"d\n")
    out, err = capfd.readouterr()
    assert out == "{}\n" and sorted(err.split()) == ["a", "b", "c", "d"]


def test_who_stops_the_program_is_told_from_code_that_says_so():
    with pytest.raises(KeyboardInterrupt) as raised, shielded():
        raise KeyboardInterrupt
    assert not isinstance(raised.value, Stopped)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped), shielded():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_prints_while_the_outputs_lead_aside_and_back(capsys):
    failed, done, say = [], threading.Event(), print

    def prints():
        while not done.is_set():
            try:
                say("x" * 10)
            except BaseException as error:
                failed.append(error)

    thread = threading.Thread(target=prints)
    thread.start()
    for _ in range(2000):
        with shielded():
            pass
    done.set()
    thread.join()
    assert not failed


@pytest.mark.parametrize("way", ["elsewhere", "gone", "raises", "within"])
def test_the_folder_that_the_program_works_in_is_as_before(way, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()

    def leave():
        os.chdir("other")
        if way == "gone":
            (tmp_path / "other").rmdir()
        if way == "raises":
            raise OSError

    with suppress(OSError), shielded():
        if way == "within":
            with shielded():
                leave()
            assert Path.cwd() == tmp_path
        leave()
    assert Path.cwd() == tmp_path


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a folder in use stays")
def test_a_block_runs_in_a_folder_that_is_gone(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with shielded():
        pass
    monkeypatch.chdir(tmp_path)
