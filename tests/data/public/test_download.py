from __future__ import annotations

import os

import pytest
import requests

from memtk.data.public.download import Resuming

BODY = os.urandom(3_000_000)


@pytest.fixture
def fetch(site, tmp_path):
    """Fetch the file `a` of the site: gives its bytes."""

    def run(watch=lambda event: None):
        part = Resuming(tmp_path / ".a.part", watch)
        part.fetch(site.url("a"))
        part.finish(tmp_path / "a")
        return (tmp_path / "a").read_bytes()

    site.files["a"] = BODY
    return run


def cut_off(site, fetch, after):
    site.cut = after
    with pytest.raises(requests.RequestException):
        fetch()


def test_a_file_comes_whole_and_leaves_nothing_beside_it(fetch, tmp_path):
    events = []
    assert fetch(events.append) == BODY
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert events[0].kind == "start" and events[-1].kind == "end" and events[-1].step == len(BODY)


def test_what_was_cut_off_goes_on_where_it_stopped(site, fetch, tmp_path):
    cut_off(site, fetch, 2_000_000)
    have = (tmp_path / ".a.part").stat().st_size
    assert 0 < have < len(BODY) and not (tmp_path / "a").exists()
    assert fetch() == BODY
    assert site.asked == ["", f"bytes={have}-"]


def test_a_new_version_on_the_server_is_not_glued_to_the_old_one(site, fetch):
    cut_off(site, fetch, 2_000_000)
    site.files["a"] = other = os.urandom(2_500_000)
    assert fetch() == other


def test_a_server_that_marks_no_version_is_asked_for_all_of_it(site, fetch):
    site.ranges = False
    cut_off(site, fetch, 2_000_000)
    assert fetch() == BODY
    assert site.asked == ["", ""]


def test_what_had_come_whole_when_it_was_killed_is_no_error(site, fetch, tmp_path):
    cut_off(site, fetch, 2_000_000)
    (tmp_path / ".a.part").write_bytes(BODY)
    assert fetch() == BODY
    assert site.asked[-2:] == [f"bytes={len(BODY)}-", ""]
