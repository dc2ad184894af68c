"""Reading ahead: threads read what comes next while what is there is worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")

DEPTH = 2
"""Results that are read ahead where nothing is set."""


def prefetch(
    read: Callable[[K], T], keys: Sequence[K], depth: int = DEPTH, workers: int = 1
) -> Generator[T]:
    """Yield `read(key)` for each key, in order; threads read up to `depth` of them ahead.

    One thread reads them one after the other, so that `read` sees the keys in their order too. An
    error comes out when its key's turn has come. Closing the generator waits for the reads that are
    under way and drops those that are not: no thread outlives it.

    Args:
        depth: most results that are ready or being read and not yet yielded; 0: no thread.
        workers: threads; with more than one, `read` sees the keys about in their order.
    """
    if depth < 1:
        yield from map(read, keys)
        return
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="memtk-prefetch")
    coming, rest = deque[Future[T]](), iter(keys)
    try:
        coming.extend(pool.submit(read, key) for key in islice(rest, depth))
        while coming:
            ready = coming.popleft().result()
            coming.extend(pool.submit(read, key) for key in islice(rest, 1))
            yield ready
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
