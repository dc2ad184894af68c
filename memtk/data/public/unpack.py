"""Unpacks archives from others: nothing lands outside the folder, no link, no device."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from memtk.errors import UserError
from memtk.files import explain


def unpack(archive: Path, folder: Path) -> int:
    """Unpack a tar (compressed or not) or zip file into `folder`; return the number of files.

    macOS's own files (`._name`) are left out.

    Raises:
        UserError: naming the archive, if it is damaged or of another format, if a member would
            land outside the folder or is a link, or if the folder cannot be written.
    """
    try:
        with explain(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if tarfile.is_tarfile(archive):
                return _untar(archive, folder)
            if zipfile.is_zipfile(archive):
                return _unzip(archive, folder)
    except tarfile.FilterError as error:
        raise _unsafe(archive, str(error)) from error
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise UserError(
            f"{archive} is damaged ({error}): delete it and get it once more"
        ) from error
    raise UserError(f"{archive} is neither a tar nor a zip file: delete it and get it once more")


def _untar(archive: Path, folder: Path) -> int:
    count = 0
    with tarfile.open(archive) as file:
        for member in file:
            if not _wanted(member.name):
                continue
            if member.issym() or member.islnk():
                raise _unsafe(archive, f"{member.name} is a link")
            file.extract(member, folder, filter="data")
            count += member.isfile()
    return count


def _unzip(archive: Path, folder: Path) -> int:
    count = 0
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            name = PurePosixPath(member.filename)
            if name.is_absolute() or ".." in name.parts or "\\" in member.filename:
                raise _unsafe(archive, f"{member.filename} would land outside the folder")
            if member.is_dir() or not _wanted(member.filename):
                continue
            target = folder.joinpath(*name.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with file.open(member) as source, open(target, "wb") as made:
                shutil.copyfileobj(source, made)
            count += 1
    return count


def _wanted(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return "__MACOSX" not in parts and not (parts and parts[-1].startswith("._"))


def _unsafe(archive: Path, why: str) -> UserError:
    return UserError(f"{archive} is not unpacked, because it is not to be trusted: {why}")
