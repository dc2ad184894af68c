import threading
import time
from contextlib import closing

import pytest

from memtk.prefetch import prefetch


def readers():
    return [t for t in threading.enumerate() if t.name.startswith("memtk-prefetch")]


@pytest.mark.parametrize("depth", [0, 1, 2, 9])
def test_every_key_is_read_once_and_in_order(depth):
    read = []
    found = prefetch(lambda step: read.append(step) or step * 2, range(3, 7), depth)
    assert list(found) == [6, 8, 10, 12]
    assert read == [3, 4, 5, 6]
    assert list(prefetch(lambda step: step, range(0), depth)) == []
    assert not readers()


def test_an_error_comes_out_at_its_key_and_no_thread_stays():
    def read(step):
        if step == 2:
            raise OSError("broken")
        return step

    reader = prefetch(read, range(5), 4)
    assert [next(reader), next(reader)] == [0, 1]
    with pytest.raises(OSError, match="broken"):
        next(reader)
    assert not readers()


def test_no_more_is_read_ahead_than_asked():
    read = []
    with closing(prefetch(lambda step: read.append(step) or step, range(100), 3)) as reader:
        for step in range(5):
            assert next(reader) == step
            deadline = time.monotonic() + 5
            while len(read) < step + 4 and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(0.01)
            assert read == list(range(step + 4))  # what was yielded, and three more


def test_closing_waits_for_the_read_under_way_and_drops_the_rest():
    started, go, read = threading.Event(), threading.Event(), []

    def slow(step):
        if step == 1:
            started.set()
            go.wait(5)
        read.append(step)
        return step

    reader = prefetch(slow, range(50), 8)
    assert next(reader) == 0
    assert started.wait(5)
    threading.Timer(0.05, go.set).start()
    reader.close()
    assert read == [0, 1]
    assert not readers()


def test_reading_goes_on_while_the_reader_is_not_asked():
    """Reading and computing take 20 ms each: side by side they take less than one by one."""
    start = time.monotonic()
    for _ in prefetch(lambda step: time.sleep(0.02), range(20), 2):
        time.sleep(0.02)
    assert time.monotonic() - start < 0.7  # 0.8 s one after the other, 0.42 s side by side
