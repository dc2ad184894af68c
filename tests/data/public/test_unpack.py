from __future__ import annotations

import gzip
import os
import tarfile
import tracemalloc
import zipfile

import pytest

from memtk.data.public.unpack import unpack
from memtk.errors import UserError


@pytest.fixture
def place(tmp_path):
    def write(content):
        (tmp_path / "archive").write_bytes(content)
        return tmp_path / "archive", tmp_path / "inner" / "folder"

    return write


def link(name, to, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_file_is_unpacked_without_macos_own_files(pack, place, mode):
    archive, folder = place(pack({"t/a": b"1", "t/._a": b"2", "__MACOSX/t/a": b"3"}, mode))
    assert unpack(archive, folder) == 1
    assert [p.relative_to(folder).as_posix() for p in folder.rglob("*")] == ["t", "t/a"]


def test_a_zip_file_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "archive", "w") as file:
        file.writestr("t/a", "1")
        file.writestr("t/b/", "")
    assert unpack(tmp_path / "archive", tmp_path / "out") == 1
    assert (tmp_path / "out/t/a").read_text() == "1"


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("names", [("A.png", "a.png"), ("T/b", "t/B"), ("a", "A/b")])
def test_names_that_differ_in_case_alone_are_refused_where_they_are_one(
    pack, place, monkeypatch, names, kind
):
    archive, folder = place(pack(dict.fromkeys(names, b"1")))
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for name in names:
                file.writestr(name, "1")
    monkeypatch.setattr("memtk.data.public.unpack._has_no_case", lambda folder: True)
    with pytest.raises(UserError, match=f"{names[1]}'.*differ in upper and lower case alone"):
        unpack(archive, folder)
    assert not [*folder.rglob("*")]
    monkeypatch.undo()
    assert unpack(archive, folder) == 2


@pytest.mark.parametrize("name", ["../escaped", "t/../../escaped"])
def test_nothing_of_a_tar_file_lands_outside_the_folder(pack, place, tmp_path, name):
    archive, folder = place(pack({name: b"1"}))
    with pytest.raises(UserError, match="not to be trusted"):
        unpack(archive, folder)
    assert not list(tmp_path.rglob("escaped"))


def test_an_absolute_name_in_a_tar_file_stays_within_the_folder(pack, place, tmp_path):
    archive, folder = place(pack({f"{tmp_path}/escaped": b"1"}))
    unpack(archive, folder)
    assert not (tmp_path / "escaped").exists() and len(list(folder.rglob("escaped"))) == 1


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_a_tar_file_are_refused(pack, place, kind):
    archive, folder = place(pack({"a": link("a", "/etc/passwd", kind)}))
    with pytest.raises(UserError, match="a is a link"):
        unpack(archive, folder)


def test_devices_in_a_tar_file_are_refused(pack, place):
    archive, folder = place(pack({"a": link("a", "", tarfile.CHRTYPE)}))
    with pytest.raises(UserError, match="not to be trusted"):
        unpack(archive, folder)


@pytest.mark.parametrize(
    "name", ["../escaped", "/escaped", "..\\escaped", "t\\..\\..\\escaped", "\\escaped"]
)
def test_nothing_of_a_zip_file_lands_outside_the_folder(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "archive", "w") as file:
        file.writestr(name, "1")
    with pytest.raises(UserError, match="would land outside"):
        unpack(tmp_path / "archive", tmp_path / "inner" / "folder")


def test_folders_that_backslashes_part_are_folders(tmp_path):
    with zipfile.ZipFile(tmp_path / "archive", "w") as file:
        for name in ("t\\a", "t\\s\\b", "__MACOSX\\._a", "t/c", "u\\"):
            file.writestr(name, name)
    assert unpack(tmp_path / "archive", tmp_path / "out") == 3
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*")}
    assert found == {"t", "t/a", "t/s", "t/s/b", "t/c"}
    assert (tmp_path / "out/t/s/b").read_text() == "t\\s\\b"


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"<!DOCTYPE html><html>", "a web page"), (b'{"message": "no"}', "a download that failed"),
     (b"", "it is empty"), (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
     (b"7z\xbc\xaf\x27\x1c" + bytes(50), "7Z")],
)  # fmt: skip
def test_what_lies_in_the_place_of_an_archive_is_said(place, content, what):
    archive, folder = place(content)
    with pytest.raises(UserError, match=f"neither a tar nor a zip file .*{what}.*get it once more"):
        unpack(archive, folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("make", ["mkfifo", "mkdir"])
def test_what_is_no_file_is_no_archive(tmp_path, make):
    getattr(os, make)(tmp_path / "a.zip")
    with pytest.raises(UserError, match="a.zip: it is no plain file"):
        unpack(tmp_path / "a.zip", tmp_path / "folder")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("first", [True, False])
def test_a_header_that_would_fill_the_memory_is_refused(place, kind, first):
    head = tarfile.TarInfo("a")
    head.type, head.size = kind, 2**28
    before = b"" if first else tarfile.TarInfo("b").tobuf()
    content = gzip.compress(before + head.tobuf(tarfile.GNU_FORMAT) + bytes(2**28))
    archive, folder = place(content)
    tracemalloc.start()
    with pytest.raises(UserError, match="header is too long|neither a tar"):
        unpack(archive, folder)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
    assert not any(folder.iterdir())


@pytest.mark.parametrize("at", [0, 156, 300])
def test_a_tar_file_whose_second_header_is_damaged_is_not_half_unpacked(place, at):
    heads = [tarfile.TarInfo(name).tobuf() for name in "abc"]
    heads[1] = heads[1][:at] + b"x" + heads[1][at + 1 :]
    archive, folder = place(b"".join(heads) + bytes(1024))
    with pytest.raises(UserError, match="is damaged"):
        unpack(archive, folder)
    assert not any(folder.iterdir())


def test_a_damaged_archive_and_no_archive_are_told_apart(pack, place):
    whole = pack({"t/a": bytes(100_000)}, "w:gz")
    archive, folder = place(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is damaged"):
        unpack(archive, folder)
    archive, folder = place(b"<html>sign in</html>")
    with pytest.raises(UserError, match="neither a tar nor a zip"):
        unpack(archive, folder)


def test_a_folder_that_cannot_be_made_is_said(pack, place, tmp_path):
    archive, folder = place(pack({"a": b"1"}))
    (tmp_path / "inner").write_text("a file")
    with pytest.raises(UserError, match="cannot write"):
        unpack(archive, folder)


def test_what_is_refused_midway_leaves_nothing_of_it(pack, place):
    archive, folder = place(pack({"t/a": b"1", "t/b": link("t/b", "a")}))
    with pytest.raises(UserError, match="t/b is a link"):
        unpack(archive, folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_that_grows_beyond_all_measure_is_refused(pack, place, tmp_path, kind):
    bomb = bytes(150_000_000)
    if kind == "tar":
        archive, folder = place(pack({"a": bomb}, "w:gz"))
    else:
        archive, folder = tmp_path / "archive", tmp_path / "out"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("a", bomb)
    with pytest.raises(UserError, match="grow to more than 100 times its size"):
        unpack(archive, folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ["", ".", "a" * 300, "a/" + "b" * 300])
def test_names_that_no_file_can_have_are_one_sentence(pack, place, name):
    archive, folder = place(pack({"t/whole": b"1", name: b"1"}))
    with pytest.raises(UserError) as caught:
        unpack(archive, folder)
    assert str(archive) in str(caught.value) and len(str(caught.value).splitlines()) == 1
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ["", ".", "a" * 300, "a/" + "b" * 300, "a\nb", "\x1b[2J"])
def test_names_that_no_file_can_have_are_one_sentence_of_a_zip_file_too(tmp_path, name):
    path = tmp_path / "archive"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("t/whole", "1")
        file.writestr(zipfile.ZipInfo("x"), "1")
        file.infolist()[1].filename = name
    with pytest.raises(UserError, match="no file can be called") as caught:
        unpack(path, tmp_path / "out")
    assert len(str(caught.value).splitlines()) == 1 and "\x1b" not in str(caught.value)
    assert not list((tmp_path / "out").iterdir())


def test_the_folder_that_was_packed_is_no_member(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_text("1")
    with tarfile.open(tmp_path / "archive", "w") as file:
        file.add(tmp_path / "in", ".")
    assert unpack(tmp_path / "archive", tmp_path / "out") == 1


@pytest.mark.parametrize(("kind", "said"), [(b"9", "not to be trusted"), (b"6", "not to be")])
def test_members_of_unknown_kinds_are_refused(pack, place, kind, said):
    archive, folder = place(pack({"t/a": b"1", "a": link("a", "", kind)}))
    with pytest.raises(UserError, match=said):
        unpack(archive, folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o010666])
def test_links_and_devices_in_a_zip_file_are_refused(tmp_path, mode):
    info = zipfile.ZipInfo("t/a")
    info.external_attr, info.create_system = mode << 16, 3
    with zipfile.ZipFile(tmp_path / "archive", "w") as file:
        file.writestr("t/b", "1")
        file.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match="a link or a device"):
        unpack(tmp_path / "archive", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_compression_that_nobody_knows_is_said(tmp_path):
    path = tmp_path / "archive"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("t/a", "1")
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(mark) + at] = 77
    path.write_bytes(content)
    with pytest.raises(UserError, match="t/a is packed by method 77 of ZIP"):
        unpack(path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_file_that_is_there_is_not_replaced_by_one_of_an_archive(pack, place):
    archive, folder = place(pack({"a": b"1", "b": b"2"}))
    folder.mkdir(parents=True)
    (folder / "b").write_text("mine")
    with pytest.raises(UserError, match="b is there, and the archive has another"):
        unpack(archive, folder)
    assert [p.name for p in folder.iterdir()] == ["b"] and (folder / "b").read_text() == "mine"
    (folder / "b").write_text("2")  # of a call that was killed while it moved the files
    assert unpack(archive, folder) == 2


def test_an_encrypted_member_is_named(tmp_path):
    path = tmp_path / "archive"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("t/a", "1")
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="t/a is encrypted"):
        unpack(path, tmp_path / "out")


def test_two_archives_fill_one_folder(pack, place):
    for name in "ab":
        archive, folder = place(pack({f"images/{name}.png": name.encode()}))
        assert unpack(archive, folder) == 1
    assert sorted(p.name for p in (folder / "images").iterdir()) == ["a.png", "b.png"]


TWICE = (
    {"a": b"1", "a/b": b"2"},
    {"a/b": b"2", "a": b"1"},
    {"t/x/y": b"1", "t/x": b"2"},
)


@pytest.mark.parametrize("members", TWICE, ids=str)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_name_that_is_a_file_and_a_folder_is_refused(tmp_path, pack, place, members, kind):
    archive, folder = place(pack(members))
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for name, content in members.items():
                file.writestr(name, content)
    with pytest.raises(UserError, match="as a file and as a folder"):
        unpack(archive, folder)
    assert not list(folder.iterdir())


def test_two_members_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("t/a", "1")
        with pytest.warns(match="Duplicate"):
            file.writestr("t/a", "2")
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for _ in range(2):
            file.addfile(tarfile.TarInfo("t/a"))
    for name in ("a.zip", "a.tar"):
        with pytest.raises(UserError, match="it holds 't/a' twice"):
            unpack(tmp_path / name, tmp_path / "out")
        assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", ["/".join(["d" * 100] * 12), "x" * 300, "\x1b[2J", "a\nb", "."])
def test_what_no_file_can_be_called_is_refused_and_no_sign_of_it_is_printed(pack, place, name):
    for member in (b"1", link(name, "/etc/passwd")):
        archive, folder = place(pack({name: member}))
        with pytest.raises(UserError, match="no file can be called|is a link") as error:
            unpack(archive, folder)
        assert str(error.value).isprintable() and not list(folder.iterdir())
