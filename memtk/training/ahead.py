"""Reads what comes next in a thread, while the present batch is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")

DEPTH = 2
"""Batches that are read ahead where nothing is set."""


def read_ahead(read: Callable[[K], T], keys: Sequence[K], depth: int = DEPTH) -> Generator[T]:
    """Yield `read(key)` for each key, in order; a thread reads up to `depth` of them ahead.

    One thread reads them one after the other, so that `read` sees the keys in their order too. An
    error comes out when its key's turn has come. Closing the generator waits for the read that is
    under way and drops those that are not: no thread outlives it.

    Args:
        depth: most results that are ready or being read and not yet yielded; 0: no thread.
    """
    if depth < 1:
        yield from map(read, keys)
        return
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="memtk-read-ahead")
    coming, rest = deque[Future[T]](), iter(keys)
    try:
        coming.extend(pool.submit(read, key) for key in islice(rest, depth))
        while coming:
            ready = coming.popleft().result()
            coming.extend(pool.submit(read, key) for key in islice(rest, 1))
            yield ready
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
