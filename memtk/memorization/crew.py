"""Threads that share out the tiles of a search."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Job = TypeVar("Job")


def share_out(
    jobs: Iterable[Job], worker: Callable[[], Callable[[Job], None]], threads: int
) -> None:
    """Do all `jobs`, in any order, in several threads.

    Each thread has one job at a time, and torch one thread for it: small steps then run beside
    large ones, and nobody waits for the others after each of them. torch has its threads back
    afterwards.

    Args:
        jobs: what there is to do.
        worker: called once for each thread; returns what does a job.
        threads: the most threads; with one, torch keeps all that it has.

    Raises:
        Exception: the first that a job raised; jobs that had not begun are left.
    """
    left = deque(jobs)
    threads = min(threads, len(left))

    @torch.no_grad()
    def work() -> None:
        do = worker()
        try:
            while True:
                try:
                    job = left.popleft()
                except IndexError:
                    return
                do(job)
        finally:
            left.clear()

    if threads < 2:
        work()
        return
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as crew:
            for done in [crew.submit(work) for _ in range(threads)]:
                done.result()
    finally:
        torch.set_num_threads(before)
