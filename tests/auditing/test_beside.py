"""The detectors of both sides are trained at once, by two processes, where that pays."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest
import torch

from memtk.auditing import make_audit_plan, run_audit
from memtk.evaluation import beside
from memtk.results import Policy

SMALL = {"training.steps": 6, "training.batch_size": 8}


@pytest.fixture(scope="module")
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def run(files, registry, two_threads):
    """`run(folder, workers, watch)`: the folder of a finished audit by two small detectors."""

    def run(folder, workers, watch=lambda event: None):
        data = {
            "source": str(files / "train"),
            "validation_source": str(files / "val"),
            "synthetic_source": str(files / "made"),
        }
        asked = {"embedder": "ntxent2d", "preset": "smoke", "plants": 5}
        plan = make_audit_plan(registry, asked, data=data)
        plan = replace(plan, workers=workers)
        run_audit(plan, registry, policy=Policy(), out=folder, device="cpu", watch=watch)
        return folder

    return run


@pytest.fixture(scope="module")
def one(run, tmp_path_factory):
    """The folder of an audit by one process."""
    seen, before = [], beside.PAYS
    beside.PAYS = -1.0
    folder = run(tmp_path_factory.mktemp("runs") / "one", 1, lambda _: seen.append(children()))
    beside.PAYS = before
    assert not any(seen)
    return folder


def children():
    """Return the processes that this one has spawned; not a browser that other tests look with."""
    every, found = psutil.Process().children(recursive=True), []
    for process in every:
        with suppress(psutil.Error):  # it has ended meanwhile
            found += [process] if "spawn_main" in " ".join(process.cmdline()) else []
    return found


def found(folder):
    """Return all numbers of an audit, and the weights of both detectors."""
    audit = json.loads((folder / "audit.json").read_text())
    weights = [
        torch.load(path, weights_only=True)["model"]
        for path in sorted(folder.glob("*/training/checkpoints/*.pt"))
    ]
    return {k: audit[k] for k in ("evidence", "protocols", "selftest")}, weights


def same(one, other):
    (numbers, weights), (others, other_weights) = found(one), found(other)
    assert numbers == others and len(weights) == len(other_weights) == 2
    for mine, its in zip(weights, other_weights, strict=True):
        assert mine.keys() == its.keys()
        assert all(torch.equal(mine[name], its[name]) for name in mine)


def test_two_processes_train_the_detectors_that_one_trains(run, one, tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "PAYS", -1.0)
    seen, told = [], []

    def watch(event):
        seen.append(len(children()))
        told.append((event.kind, event.stage))

    two = run(tmp_path / "two", 2, watch)
    assert max(seen) > 0 and torch.get_num_threads() == 2 and not children()
    stages = {stage for kind, stage in told if kind == "end" and "training the embedder" in stage}
    assert len(stages) == 2, "both are shown"
    assert not [stage for kind, stage in told if kind == "skip"]
    same(one, two)


def test_what_a_process_that_was_killed_left_is_trained_here(run, one, tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "PAYS", -1.0)
    killed = []

    def watch(event):
        for child in children() if not killed else []:
            child.kill()
            killed.append(child.wait())

    two = run(tmp_path / "two", 2, watch)
    assert killed
    same(one, two)


def test_no_process_outlives_an_audit_that_is_stopped(run, tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "PAYS", -1.0)
    started = []

    def watch(event):
        started.extend(children())
        if started:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "one", 2, watch)
    assert started and not children()


def test_no_process_is_started_for_a_few_seconds(run, one, tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "PAYS", 1e6)
    seen = []
    same(one, run(tmp_path / "short", 2, lambda _: seen.append(children())))
    assert not any(seen)
