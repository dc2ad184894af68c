"""Real processes, as `--jobs` and submitit's local executor start them, added to one study."""

from __future__ import annotations

import os
import signal
import stat
import sys

import pytest

from memtk.errors import UserError
from memtk.results.study import read_study_file
from memtk.study import Jobs, make_study, run_study
from memtk.study.launchers import Cluster, Job, Processes, parse_parameters
from memtk.study.tasks import stages


@pytest.fixture(scope="module")
def begun(tmp_path_factory, registry, base):
    """A study with its images read and one cell done here."""
    folder = tmp_path_factory.mktemp("study") / "launched"
    run_study(make_study(base(), ["seed=0"], registry), registry, out=folder, device="cpu")
    return folder


def test_cells_in_processes_give_the_numbers_of_those_in_this_one(begun, registry, base):
    plan = make_study(base(), ["seed=0,1"], registry)
    study = run_study(plan, registry, out=begun, device="cpu", jobs=Jobs(count=2)).study
    assert not study.missing, study.failed
    found = [f.result.last.protocols["dar"] for f in study.findings]
    assert found[0] == found[1]
    assert [f.result.seed for f in study.findings] == [0, 1]


def test_cells_are_jobs_of_submitit(begun, registry, base):
    pytest.importorskip("submitit")
    plan = make_study(base(), ["seed=0,7"], registry)
    study = run_study(plan, registry, out=begun, device="cpu", jobs=Jobs("local")).study
    assert not study.missing, study.failed
    assert list((begun / "logs" / "submitit").glob("*_log.out"))


def test_a_process_ends_when_whoever_started_it_is_gone(begun, registry, base):
    handle = Processes(begun, 1).start(stages(read_study_file(begun))[2][0])
    handle.process.stdin.close()  # as the system does with the pipes of a process that is killed
    handle.process.wait(60)
    assert handle.process.returncode == -signal.SIGTERM
    assert "ended with signal SIGTERM" in handle.ending()


def test_a_process_is_stopped(begun, registry, base):
    handle = Processes(begun, 1).start(stages(read_study_file(begun))[2][0])
    assert not handle.done()
    handle.stop()
    assert handle.done() and handle.process.returncode == -signal.SIGTERM


def test_a_process_that_cannot_start_says_its_last_words(tmp_path, registry, base, monkeypatch):
    python = tmp_path / "python"
    asked = f'[ "$1" = -I ] && exec {sys.executable} "$@"'  # whether it is Python
    words = ["#!/bin/sh", asked, "echo Traceback", "echo ImportError: no torch", "exit 1"]
    python.write_text("\n".join(words))
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    task = stages(make_study(base(), ["seed=0"], registry).file())[2][0]
    handle = Processes(tmp_path, 1).start(task)
    handle.process.wait(60)
    assert handle.ending().startswith(
        "its process ended with exit status 1 (ImportError: no torch), see "
    )
    handle.stop()


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands called sbatch, squeue and sacct: jobs are queued, and never run."""
    pytest.importorskip("submitit")
    home = tmp_path / "bin"
    home.mkdir()
    scripts = {
        "sbatch": f'cp "$1" {home}/sent.sh; echo x >> {home}/count; '
        f'echo "Submitted batch job $((100 + $(wc -l < {home}/count)))"',
        "sacct": "echo 'JobID|State|NodeList'; for i in 101 102; do echo \"$i|RUNNING|n1\"; done",
        "srun": "true",
        "scancel": f'echo "$@" >> {home}/cancelled',
    }
    for name, text in scripts.items():
        (home / name).write_text(f"#!/bin/sh\n{text}\n")
        (home / name).chmod(0o755 | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{home}{os.pathsep}{os.environ['PATH']}")
    return home


def test_a_slurm_job_asks_for_what_was_said_and_is_taken_up_again(slurm, tmp_path, registry, base):
    task = stages(make_study(base(), ["seed=0"], registry).file())[2][0]
    parameters = parse_parameters(("partition=gpu", "gpus_per_node=1", "time=240", "mem_gb=8"))
    cluster = Cluster(tmp_path / "study", "slurm", 3, parameters)
    first = cluster.start(task)
    sent = (slurm / "sent.sh").read_text()
    for line in ("--partition=gpu", "--gpus-per-node=1", "--time=240", "--mem=8GB"):
        assert f"#SBATCH {line}" in sent
    assert not first.done()
    again = Cluster(tmp_path / "study", "slurm", 3, parameters).start(task)
    assert again.job.job_id == first.job.job_id == "101"
    again.stop()
    assert (slurm / "cancelled").read_text().split() == ["101"]


@pytest.mark.parametrize(
    ("where", "texts", "said"),
    [
        ("slurm", (), "Start the study on a machine that has sbatch"),
        ("local", ("colour=red",), "Unknown argument 'colour'"),
        ("local", ("gpus_per_node=many",), "gpus_per_node"),
    ],
)
def test_what_a_cluster_cannot_do_is_said(where, texts, said, tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match=said):
        Cluster(tmp_path, where, 1, parse_parameters(texts))


def test_a_missing_submitit_and_parameters_without_a_cluster_are_refused(
    tmp_path, registry, base, monkeypatch
):
    with pytest.raises(UserError, match="write it as KEY=VALUE"):
        parse_parameters(("partition",))
    plan = make_study(base(), ["seed=0"], registry)
    with pytest.raises(UserError, match="--slurm goes with"):
        run_study(plan, registry, out=tmp_path / "a", jobs=Jobs(parameters={"partition": "gpu"}))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install submitit"):
        Cluster(tmp_path, "slurm", 1, {})


def test_a_job_does_its_task_and_is_queued_again_when_it_is_taken_off(begun):
    helpers = pytest.importorskip("submitit.helpers")
    cell = read_study_file(begun).cells[0]
    job = Job()
    assert job(str(begun), "cell", cell.name) is None  # it is finished: nothing is done again
    again = job.checkpoint(str(begun), "cell", cell.name)
    assert isinstance(again, helpers.DelayedSubmission)
    assert again.args == (str(begun), "cell", cell.name)
    with pytest.raises(UserError, match="has no cell nobody"):
        job(str(begun), "cell", "nobody")
