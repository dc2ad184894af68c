"""Threads that share out the tiles."""

import threading

import pytest
import torch

from memtk.memorization.crew import share_out


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_every_job_is_done_once_and_torch_has_its_threads_back(threads):
    done, workers, inside = [], [], set()

    def worker():
        workers.append(threading.get_ident())

        def do(job):
            assert not torch.is_grad_enabled()
            inside.add(torch.get_num_threads())
            done.append(job)

        return do

    share_out(range(200), worker, threads)
    assert sorted(done) == list(range(200))
    assert len(workers) == threads
    assert inside == {1}
    assert torch.get_num_threads() == threads


def test_no_more_threads_are_started_than_there_are_jobs(threads):
    workers = []
    share_out([7], lambda: workers.append(1) or (lambda job: None), threads)
    assert len(workers) == 1
    share_out([], lambda: lambda job: pytest.fail("there is no job"), threads)


def test_the_first_error_is_raised_and_jobs_that_had_not_begun_are_left(threads):
    begun = []

    def do(job):
        begun.append(job)
        raise ValueError(f"job {job}")

    with pytest.raises(ValueError, match="job"):
        share_out(range(1000), lambda: do, threads)
    assert len(begun) <= threads
    assert torch.get_num_threads() == threads
