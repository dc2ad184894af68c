from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from memtk.data.public.catalogue import PUBLIC, PublicFile, PublicSet
from memtk.data.public.download import get_public, target
from memtk.errors import UserError


def md5(content):
    return f"md5:{hashlib.md5(content).hexdigest()}"


@pytest.fixture
def body(pack):
    return pack({"Task/imagesTr/a.nii": b"voxels", "Task/dataset.json": b"{}"})


@pytest.fixture
def offered(site, body):
    """A public set of one archive on the local server."""
    site.files["t.tar"] = body
    return PublicSet(
        name="tiny",
        title="A tiny set",
        images=1,
        patients=1,
        licence="CC0",
        citation=("nobody",),
        homepage=site.url(""),
        files=(PublicFile("t.tar", site.url("t.tar"), md5(body), len(body)),),
        top="Task",
    )


def unchecked(offered):
    return replace(offered, files=(replace(offered.files[0], checksum=""),))


def test_a_set_is_fetched_checked_and_unpacked(offered, tmp_path):
    place = get_public(offered, tmp_path)
    assert place == tmp_path / "tiny/Task"
    assert (place / "imagesTr/a.nii").read_bytes() == b"voxels"
    assert offered.is_there(tmp_path) and not target(offered, tmp_path).exists()


def test_a_set_that_is_there_is_not_fetched_again(offered, tmp_path, site):
    get_public(offered, tmp_path, keep=True)
    assert (target(offered, tmp_path) / "t.tar").exists()
    get_public(offered, tmp_path)
    assert len(site.asked) == 1


def test_an_archive_that_a_person_put_there_stays(offered, tmp_path, site, body):
    there = target(offered, tmp_path)
    there.mkdir(parents=True)
    (there / "t.tar").write_bytes(body)
    (there / "notes.txt").write_text("mine")
    get_public(offered, tmp_path)
    assert not site.asked and sorted(p.name for p in there.iterdir()) == ["notes.txt", "t.tar"]


def test_a_wrong_checksum_leaves_nothing_behind(offered, tmp_path, site, body):
    site.files["t.tar"] = body + b"x"
    with pytest.raises(UserError, match="not the known one.*\nSay the same command"):
        get_public(offered, tmp_path)
    assert not offered.is_there(tmp_path)
    assert not list(target(offered, tmp_path).iterdir())
    site.files["t.tar"] = body
    get_public(offered, tmp_path)


def test_what_was_cut_off_goes_on_with_the_same_call(offered, tmp_path, site, pack):
    site.files["t.tar"] = large = pack({"Task/a.nii": bytes(3_000_000)})
    offered = replace(offered, files=(replace(offered.files[0], checksum=md5(large)),))
    site.cut = 2_000_000
    with pytest.raises(UserError, match="connection was lost.\nSay the same command again to go"):
        get_public(offered, tmp_path)
    get_public(offered, tmp_path)
    assert site.asked[1].startswith("bytes=")


def test_without_a_network_it_says_what_to_fetch_from_where_and_where_to_put_it(
    offered, tmp_path, body
):
    file = replace(offered.files[0], url="http://127.0.0.1:9/t.tar")
    away = replace(offered, files=(file,))
    with pytest.raises(UserError) as caught:
        get_public(away, tmp_path)
    here = target(away, tmp_path) / "t.tar"
    assert "cannot fetch http://127.0.0.1:9/t.tar: there is no connection" in str(caught.value)
    assert f"put it here: {here}" in str(caught.value)
    here.write_bytes(body)  # as the message says
    get_public(away, tmp_path)


def test_a_file_that_was_put_there_and_is_another_is_refused_and_kept(offered, tmp_path, site):
    here = target(offered, tmp_path) / "t.tar"
    here.parent.mkdir(parents=True)
    here.write_bytes(b"half of it")
    with pytest.raises(UserError, match="is not what .* Delete it|\nDelete it"):
        get_public(offered, tmp_path)
    assert here.read_bytes() == b"half of it" and not site.asked


def test_an_answer_of_the_server_is_said(offered, tmp_path, site):
    site.files.clear()
    with pytest.raises(UserError, match="the server answers 404 Not Found"):
        get_public(offered, tmp_path)


def test_without_a_published_checksum_the_first_ones_is_kept_and_held_against_later_ones(
    offered, tmp_path, site, body
):
    events = []
    get_public(unchecked(offered), tmp_path, watch=events.append)
    assert any("gives no checksum" in e.text for e in events if e.kind == "note")
    kept = json.loads((tmp_path / "tiny/checksums.json").read_text())
    assert kept == {"t.tar": f"sha256:{hashlib.sha256(body).hexdigest()}"}
    (tmp_path / "tiny/.complete").unlink()
    site.files["t.tar"] = body + b"x"
    with pytest.raises(UserError, match="not the known one"):
        get_public(unchecked(offered), tmp_path)


def test_a_damaged_list_of_checksums_is_said(offered, tmp_path):
    (tmp_path / "tiny").mkdir()
    for text in ("{", "[]"):
        (tmp_path / "tiny/checksums.json").write_text(text)
        with pytest.raises(UserError, match="Delete it to trust the files anew"):
            get_public(unchecked(offered), tmp_path)


def test_files_that_hold_something_else_are_not_taken_for_the_set(offered, tmp_path):
    with pytest.raises(UserError, match="hold no Elsewhere"):
        get_public(replace(offered, top="Elsewhere"), tmp_path)
    assert not offered.is_there(tmp_path)


def test_a_set_behind_a_sign_up_says_the_steps(tmp_path):
    with pytest.raises(UserError, match="takes a sign-up(.|\n)*1. open https(.|\n)*--suite mrnet"):
        get_public(PUBLIC["mrnet"], tmp_path)


def test_a_folder_that_cannot_be_written_is_said(offered, tmp_path):
    (tmp_path / "tiny").write_text("a file is in the way")
    with pytest.raises(UserError, match="cannot write .*tiny"):
        get_public(offered, tmp_path)


def test_a_disk_that_is_too_small_is_said_before_anything_is_fetched(offered, tmp_path, site):
    large = replace(offered, files=(replace(offered.files[0], size=10**18),))
    with pytest.raises(UserError, match="are free"):
        get_public(large, tmp_path)
    assert not site.asked
