"""The folder in which public data sets lie, one folder each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from memtk.data.public.catalogue import find_public
from memtk.data.public.record import PREFIX, PublicSet
from memtk.errors import UserError

HOME = "MEMTK_DATA_HOME"
"""The environment variable that names it."""

DONE = ".complete"
"""A file in the folder of a set, written when all of the set is there."""


def data_home() -> Path:
    """Return the folder of all public data: MEMTK_DATA_HOME, else the system's cache folder.

    Raises:
        UserError: if the variable is unset and pooch, which knows the cache folder, is missing.
    """
    named = os.environ.get(HOME)
    if named:
        return Path(named).expanduser()
    return Path(need_pooch().os_cache("memtk"))


def folder_of(public: PublicSet, home: Path) -> Path:
    """Return the folder of one set, whether it is there or not."""
    return home.joinpath(*public.name.split("/"))


def is_there(public: PublicSet, home: Path) -> bool:
    """Tell whether all of a set is there: fetched and unpacked, or put there after a sign-up."""
    folder = folder_of(public, home)
    return (folder / (DONE if public.files else public.top)).exists()


def locate(source: str) -> str:
    """Return where the images of a source lie: `public:NAME` is looked up, all else is a path.

    Raises:
        UserError: if the set is unknown, or is not there, saying how to get it.
    """
    if not source.startswith(PREFIX):
        return source
    public, home = find_public(source.removeprefix(PREFIX)), data_home()
    if not is_there(public, home):
        raise UserError(
            f"the data set {public.name} is not in {home}.\n"
            f"Get it: memtk data get {public.name}. Or give a copy of your own with --data PATH"
        )
    return str(folder_of(public, home) / public.top)


def need_pooch() -> Any:
    """Return the module pooch.

    Raises:
        UserError: if it is not installed.
    """
    try:
        import pooch
    except ImportError as error:
        raise UserError(
            f"pooch, which fetches public data, is not installed: pip install pooch, or set {HOME} "
            "to a folder that holds the data"
        ) from error
    return pooch
