from __future__ import annotations

import pytest

from memtk.results.study import failure_path
from memtk.study import StudyDisplay, make_study
from memtk.study.launchers import run_elsewhere
from memtk.study.run import open_study
from memtk.study.tasks import DONE, Task, shared_folder


class Launched:
    """A task that ends at its third look, as a process that did its work or died."""

    def __init__(self, launcher, task, dies):
        self.looks, self.task, self.launcher, self.dies = 0, task, launcher, dies
        launcher.running += 1
        launcher.most = max(launcher.most, launcher.running)

    def done(self):
        self.looks += 1
        if self.looks == 3:
            self.launcher.running -= 1
            if not self.dies:
                home = shared_folder(self.launcher.folder, self.task.kind, self.task.name)
                home.mkdir(parents=True)
                (home / DONE).touch()
        return self.looks >= 3

    def ending(self):
        return "its process ended with signal SIGKILL"

    def stop(self):
        self.launcher.stopped.append(self.task.name)


class Launcher:
    pause = patience = 0.0

    def __init__(self, folder, width, dying=()):
        self.folder, self.width, self.dying = folder, width, dying
        self.running = self.most = 0
        self.stopped = []

    def start(self, task):
        return Launched(self, task, task.name in self.dying)


@pytest.fixture
def tasks(tmp_path, registry, base):
    plan = make_study(base(), ["seed=0"], registry)
    open_study(tmp_path, plan.file())
    return [Task("images", name, plan.runs[0].stored) for name in "abcde"]


def test_no_more_than_the_width_run_at_a_time_and_all_are_run(tasks, tmp_path):
    launcher = Launcher(tmp_path, 2)
    assert run_elsewhere(tmp_path, tasks, launcher, StudyDisplay()) == {}
    assert launcher.most == 2


def test_a_task_that_dies_without_a_word_is_told_of_and_the_others_go_on(tasks, tmp_path):
    failed = run_elsewhere(tmp_path, tasks, Launcher(tmp_path, 2, dying="b"), StudyDisplay())
    assert failed == {"images-b": "its process ended with signal SIGKILL"}
    assert failure_path(tmp_path, "images-b").exists()


def test_what_runs_is_stopped_when_the_study_is(tasks, tmp_path):
    class Stop(StudyDisplay):
        def ended(self, task, failure, seconds):
            raise KeyboardInterrupt

    launcher = Launcher(tmp_path, 3)
    with pytest.raises(KeyboardInterrupt):
        run_elsewhere(tmp_path, tasks, launcher, Stop())
    assert launcher.stopped == ["b", "c"]
