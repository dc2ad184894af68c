"""The file that a row of a manifest names, and where it may lie instead."""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from itertools import chain
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from memtk.data.patients import without_suffix
from memtk.errors import UserError, one_line, printable

MOST_SEEN = 20_000
"""Among so many files one is looked for that a manifest names otherwise."""

QUOTED = re.compile(r"^=?(['\"])(.+)\1$")


def below_manifest(file: Path, path: Path) -> Path:
    """Return the path of a file below the folder of the manifest: not what is above them all."""
    within = file.absolute().is_relative_to(path.parent.absolute())
    return file.absolute().relative_to(path.parent.absolute()) if within else file


def named_file(folder: Path, name: str) -> Path:
    """Return the file that a row names; backslashes part folders where no name has them, and
    quotes stand around the name (`="a.png"`, a spreadsheet's text) where it has none.

    Raises:
        UserError: if there is none.
    """
    plain = name.replace("\\", "/")
    forms = (unicodedata.normalize(form, plain) for form in ("NFC", "NFD"))  # macOS has the second
    others = os.path.expanduser(plain), unquote(plain), QUOTED.sub(r"\2", plain)
    for form in dict.fromkeys((name, plain, *forms, *others)):
        try:
            if (folder / form).exists():
                return folder / form
        except PermissionError as error:
            raise UserError(f"cannot read {folder / form}: no permission") from error
        except (OSError, ValueError) as error:  # too long, or with a NUL
            raise UserError(f"there is no file {name[:100]}: {one_line(error)[:60]}") from error
    with contextlib.suppress(OSError):
        if (folder / name).is_symlink():
            raise UserError(f"{folder / name} is a link to nothing")
    if name.lower().startswith("file:"):
        raise UserError(f"{name[:100]} is an address: write the path alone, without file://")
    if re.match(r"^[a-z][a-z0-9+]+://", name):
        raise UserError(f"{name[:100]} is an address: fetch the files, and name them here")
    far = " It is a path of Windows." if re.match(r"^([A-Za-z]:)?\\", name) else ""
    if (folder.absolute().parent / plain).exists():
        far = " Paths begin where the manifest lies: move it one folder up."
    if re.search(r"\$\{?\w|%[A-Za-z]\w*%", name):
        far = " It has a variable of a shell: write the path in full."
    raise NoFile(f"there is no file {folder / name}.{far}".removesuffix("."))


class NoFile(UserError):
    """There is no file of a name, and nothing else in its place."""


def lies_elsewhere(folder: Path, name: str) -> str:
    """Say where the one file of nearly this name lies: in other letters, or further below.

    Of several, of which each may be another patient's, none is said.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    asked, seen, found = without_suffix(path.name).casefold(), 0, set[str]()
    for place, folders, names in chain(os.walk(folder / path.parent), os.walk(folder)):
        same = (Path(place, n) for n in names if without_suffix(n).casefold() == asked)
        found |= {Path(os.path.relpath(file, folder)).as_posix() for file in same}
        seen += len(names) + len(folders)
        if seen > MOST_SEEN:
            break
    near = {there for there in found if PurePosixPath(there).parent == path.parent}
    if not near and seen > MOST_SEEN:
        return ""
    there, *others = near or found or ("", "")
    return "" if others else f"\nIn the place of {name} there is {printable(there)}: name that"
