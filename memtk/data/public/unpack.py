"""Unpacks an archive of a stranger, all or nothing, and nothing outside its folder."""

from __future__ import annotations

import filecmp
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Self

from memtk.data.formats import what_it_is, why_packed
from memtk.errors import UserError, one_line, printable
from memtk.files import explain

LONGEST = 255
"""Bytes of a file's name."""

LONGEST_PATH = 1000
"""Characters of a name with all its folders."""

LONGEST_HEADER = 2**20
"""Bytes of what a tar file says of one member."""

GROWTH = 100
"""What is unpacked may be as many times as large as the archive, and 100 MB more."""

SCRATCH = ".memtk-unpacking"
"""Folder in which an archive is unpacked before anything of it takes its place."""


def unpack(archive: Path, folder: Path) -> int:
    """Unpack a tar (compressed or not) or zip file into `folder`; return the number of files.

    Nothing lands outside the folder, no link, no device; of an archive that is refused nothing is
    left. macOS's own files (`._name`) are left out.

    Raises:
        UserError: naming the archive, if it is damaged or of another format, if a member would
            land outside the folder, is a link or encrypted, if it grows beyond `GROWTH`, or if the
            folder cannot be written.
    """
    scratch = folder / SCRATCH
    try:
        with explain(folder):
            shutil.rmtree(scratch, ignore_errors=True)  # of a call that was killed
            scratch.mkdir(parents=True)
            if not archive.is_file():  # to open a pipe may take for ever
                raise UserError(f"cannot read {archive}: it is no plain file")
            if tar := _open_tar(archive):
                with tar:
                    tar.extractall(scratch, filter=_Plain(archive, _Names(archive, scratch)))
            elif zipfile.is_zipfile(archive):
                _unzip(archive, scratch)
            else:
                what = f" ({what})" if (what := what_it_is(archive)) else ""
                raise UserError(
                    f"{archive} is neither a tar nor a zip file{what}: delete it and get it once "
                    "more"
                )
            return _move_in(scratch, folder)
    except UserError:
        raise
    except tarfile.FilterError as error:
        raise _unsafe(archive, str(error)) from error
    except Exception as error:  # what the libraries say of damage is of many kinds
        raise UserError(
            f"{archive} is damaged ({one_line(error)}): delete it and get it once more"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Header(tarfile.TarInfo):
    """The header of a member of a tar file."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read one. Where it is damaged tarfile takes it for the end of the file.

        Raises:
            tarfile.ReadError: then, and where what it says of the member, which is read at once,
                is too long.
        """
        try:
            made = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not any(buf):
                raise  # the end
            raise tarfile.ReadError(str(error)) from error
        if made.size > LONGEST_HEADER and made.type not in tarfile.REGULAR_TYPES:
            raise tarfile.ReadError("a header is too long")
        return made


def _open_tar(archive: Path) -> tarfile.TarFile | None:
    """Open a tar file; None if it is none."""
    try:
        return tarfile.open(archive, tarinfo=_Header)
    except tarfile.ReadError:
        return None


class _Plain:
    """Takes plain files and folders of a tar file, as a filter of `tarfile`, up to `GROWTH`."""

    def __init__(self, archive: Path, names: _Names) -> None:
        self._archive, self._size, self._names = archive, 0, names

    def __call__(self, member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
        self._size += member.size
        _check_growth(self._archive, self._size)
        if member.issym() or member.islnk():
            raise _unsafe(self._archive, f"{member.name} is a link")
        if member.isdir() and not PurePosixPath(member.name).parts:
            return None  # "./", of the folder that was packed
        if not _wanted(member.name):
            return None
        self._names.add(member.name, folder=member.isdir())
        return tarfile.data_filter(member, folder)


def _unzip(archive: Path, folder: Path) -> None:
    if why := why_packed(archive):
        raise UserError(f"{archive} is not unpacked: {why}")
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():  # some programs of Windows write backslashes
            member.filename = member.filename.replace("\\", "/")
        members = [member for member in file.infolist() if _wanted(member.filename)]
        _check_growth(archive, sum(member.file_size for member in members))
        names = _Names(archive, folder)
        for member in members:
            name, mode = PurePosixPath(member.filename), member.external_attr >> 16
            if name.is_absolute() or ".." in name.parts:
                raise _unsafe(archive, f"{member.filename} would land outside the folder")
            names.add(member.filename, folder=member.filename.endswith("/"))
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _unsafe(archive, f"{member.filename} is a link or a device")
        file.extractall(folder, members)


class _Names:
    """The names of an archive's members so far, of which together files can be made."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self._archive, self._caseless = archive, _has_no_case(folder)
        self._files: set[tuple[str, ...]] = set()
        self._folders: set[tuple[str, ...]] = set()

    def add(self, name: str, *, folder: bool) -> None:
        """Take a name in.

        Raises:
            UserError: if no file can be called that, or another has the name, or is in it.
        """
        parts = PurePosixPath(name).parts
        shown = ascii(name[:40]) + ("..." if len(name) > 40 else "")
        longest = max((len(os.fsencode(part)) for part in parts), default=0)
        if not parts or not name.isprintable() or longest > LONGEST or len(name) > LONGEST_PATH:
            raise _unsafe(self._archive, f"no file can be called {shown}")
        parts = tuple(part.casefold() for part in parts) if self._caseless else parts
        above = {parts[:count] for count in range(1, len(parts) + folder)}
        told = ", which here differ in upper and lower case alone" if self._caseless else ""
        if parts in self._files or above & self._files or (not folder and parts in self._folders):
            raise _unsafe(
                self._archive, f"it holds {shown} twice, or as a file and as a folder{told}"
            )
        self._folders |= above
        self._files |= set() if folder else {parts}


def _has_no_case(folder: Path) -> bool:
    """Tell whether a folder's file system takes names in upper and lower case for one."""
    return folder.with_name(folder.name.swapcase()).exists()


def _move_in(scratch: Path, folder: Path) -> int:
    """Move what was unpacked into place. What lies there already stays, or nothing is moved."""
    files = [path for path in scratch.rglob("*") if path.is_file()]
    for path in files:
        target = folder / path.relative_to(scratch)
        if target.exists() and not (target.is_file() and filecmp.cmp(path, target, shallow=False)):
            raise UserError(
                f"{target} is there, and the archive has another file of that name: move yours away"
            )
    for path in files:
        (target := folder / path.relative_to(scratch)).parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    return len(files)


def _wanted(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return "__MACOSX" not in parts and not (parts and parts[-1].startswith("._"))


def _check_growth(archive: Path, size: int) -> None:
    if size > GROWTH * (archive.stat().st_size + 1_000_000):
        raise _unsafe(archive, f"it would grow to more than {GROWTH} times its size")


def _unsafe(archive: Path, why: str) -> UserError:
    why = printable(why.replace("\n", " "))
    return UserError(f"{archive} is not unpacked, because it is not to be trusted: {why}")
