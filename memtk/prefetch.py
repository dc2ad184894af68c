"""Reading ahead: a thread, or processes, read what comes next while what is there is worked on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from itertools import islice
from types import ModuleType
from typing import Any, TypeVar

from memtk.errors import UserError
from memtk.interpreter import python
from memtk.surroundings import keep

K = TypeVar("K")
T = TypeVar("T")

DEPTH = 2
"""Results that are read ahead where nothing is set, in each process."""

TRIED = 8
"""Keys that are read in this process first, to see how long one takes."""

PAYS = 3.0
"""Seconds that processes must save to be started: each takes about two to begin."""

ALONE = 30.0
"""Seconds that this process reads alone at most, until another has begun."""

AT_A_TIME = 0.02
"""Seconds of work that a process is given at a time: each costs a fraction of a millisecond."""

MOST = 61
"""Processes: Windows waits for no more."""


def prefetch(read: Callable[[K], T], keys: Sequence[K], depth: int = DEPTH) -> Generator[T]:
    """Yield `read(key)` for each key, in order; a thread reads up to `depth` of them ahead.

    It reads them one after the other, so that `read` sees the keys in their order too, and may keep
    a file open. An error comes out when its key's turn has come. Closing the generator waits for
    the read that is under way and drops those that are not: no thread outlives it.

    Args:
        depth: most results that are ready or being read and not yet yielded; 0: no thread.
    """
    if depth < 1:
        yield from map(read, keys)
        return
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="memtk-prefetch")
    coming, rest = deque[Future[T]](), iter(keys)
    try:
        coming.extend(pool.submit(read, key) for key in islice(rest, depth))
        while coming:
            ready = coming.popleft().result()
            coming.extend(pool.submit(read, key) for key in islice(rest, 1))
            yield ready
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def prefetch_in_processes(
    read: Callable[[K], T], keys: Sequence[K], workers: int, failed: str
) -> Generator[T]:
    """Yield `read(key)` for each key, in order, from processes where that pays.

    The first `TRIED` keys are read in this process; if, by the time that they take, `workers`
    processes, of which this is one, save more than `PAYS` seconds, they read the others, else a
    thread does. They are started anew ("spawn"), ignore an interrupt, which is this process's to
    hear, and end with it even where it is killed.

    Args:
        read: can be pickled, as keys and results can, and lies in a module that can be imported;
            depends on its key alone.
        workers: processes, this one included, `MOST` at the most; 1: no other.
        failed: what is said, as a `UserError`, if one of them is killed.
    """
    tried, spent = keys[: TRIED if workers > 1 else 0], 0.0
    for number, key in enumerate(tried):
        start = time.perf_counter()
        found = read(key)
        spent += time.perf_counter() - start if number else 0.0  # the first one imports, too
        yield found
    rest, workers = keys[len(tried) :], min(workers, MOST)
    each = spent / max(len(tried) - 1, 1)
    pays = workers > 1 and each * len(rest) * (1 - 1 / workers) > PAYS and python() is not None
    if not pays:
        with closing(prefetch(read, rest)) as coming:
            yield from coming
        return
    several = max(1, min(round(AT_A_TIME / each), 16)) if each else 1
    with closing(_spawned(read, rest, workers, several, failed)) as coming:
        yield from coming


def _spawned(
    read: Callable[[K], T], keys: Sequence[K], workers: int, several: int, failed: str
) -> Generator[T]:
    """Yield `read(key)` for each key, in order, from `workers` processes.

    This one reads while it would wait: all keys until another process has begun, then those that
    come behind what the others have been given.

    Args:
        several: keys that another process is given at a time.
    """
    others = workers - 1
    pool = ProcessPoolExecutor(
        others, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(read,)
    )
    coming, rest = deque[Future[list[T]]](), iter(keys)

    def submit() -> None:
        lacking = (DEPTH + 1) * others - sum(not future.done() for future in coming)
        for _ in range(lacking):
            if not (given := list(islice(rest, several))):
                return
            with apart():
                coming.append(pool.submit(_work, given))

    try:
        with apart():
            begun = [pool.submit(_work, []) for _ in range(others)]
        end = time.monotonic() + ALONE
        while not begun[0].done() and time.monotonic() < end and (given := list(islice(rest, 1))):
            yield read(given[0])
        submit()
        while coming:
            while not coming[0].done() and len(coming) < 2 * (DEPTH + 1) * workers:
                if not (given := list(islice(rest, 1))):
                    break
                coming.append(_done(read, given))
                submit()
            ready = coming.popleft().result()
            submit()
            yield from ready
    except BrokenProcessPool as error:
        raise UserError(failed) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _done(read: Callable[[K], T], keys: Sequence[K]) -> Future[list[T]]:
    """Return what `read` gives or raises, to be heard of when its turn comes."""
    future = Future[list[T]]()
    try:
        future.set_result([read(key) for key in keys])
    except Exception as error:
        future.set_exception(error)
    return future


@contextmanager
def apart() -> Iterator[None]:
    """Let the processes that a block starts run no line of the user's script, nor be interrupted.

    They would import the main module, and a script that does its work there would do it again. Of
    an interrupt this process hears after the block.
    """
    main, before = sys.modules["__main__"], None
    if sys.platform != "win32":
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if sys.platform != "win32" and before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


_reads: Callable[[Any], Any]
"""What this process was started for."""


def _begin(read: Callable[[Any], Any]) -> None:
    global _reads
    keep()
    end_with_the_parent()
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)  # there is a process for each core
    _reads = read


def end_with_the_parent() -> None:
    """Let this process end when the one that started it does, be it killed, and no sooner.

    An interrupt is that one's to hear.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_the_parent, daemon=True).start()


def _wait_for_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os.kill(os.getpid(), signal.SIGTERM)  # on Windows, too, it ends at once


def _work(keys: Sequence[Any]) -> list[Any]:
    return [_reads(key) for key in keys]
