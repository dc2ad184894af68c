"""Gets a public data set: fetches, checks, unpacks, and only then says that it is there."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from memtk.data.public.checksums import keep_checksum, read_checksums
from memtk.data.public.download import Resuming
from memtk.data.public.home import DONE, folder_of, is_there, need_pooch
from memtk.data.public.record import PublicFile, PublicSet
from memtk.data.public.unpack import unpack
from memtk.errors import UserError
from memtk.events import Event, Watch, ignore
from memtk.files import explain, require_space, write_text

ARCHIVES = "archives"
"""Folder of a set in which its archives lie until they are unpacked."""


def get_public(public: PublicSet, home: Path, *, keep: bool = False, watch: Watch = ignore) -> Path:
    """Fetch a set into its folder below `home`, or find that it is there; return what is read.

    A file that lies there already (from an earlier call, or put there by hand) is checked and not
    fetched again; one that was cut off is gone on with.

    Args:
        public: which set.
        home: the folder of all public data.
        keep: leave the archives when they are unpacked.
        watch: told of the progress.

    Raises:
        UserError: if the set takes a sign-up, saying the steps; if there is no connection, saying
            what to fetch from where and where to put it; for a wrong checksum, an archive that is
            damaged or not to be trusted, and a folder that cannot be written.
    """
    folder = folder_of(public, home)
    if is_there(public, home):
        watch(Event("skip", f"getting {public.name}"))
        return folder / public.top
    if not public.files:
        steps = "\n".join(f"{n}. {step}" for n, step in enumerate(public.steps, 1))
        raise UserError(f"{public.name} takes a sign-up, which no program may do for you:\n{steps}")
    archives = target(public, home)
    with explain(archives):
        archives.mkdir(parents=True, exist_ok=True)
    require_space(folder / DONE, _missing(public, archives))
    paths = [fetch(file, archives, folder, watch) for file in public.files]
    if public.unpack:
        _unpack_all(public, paths, folder, watch)
    if not (folder / public.top).exists():
        raise UserError(
            f"the files of {public.name} hold no {public.top}: its publisher has changed them, or "
            f"what lies in {archives} is something else. Delete that and get it once more"
        )
    write_text(folder / DONE, f"{public.name}\n")
    if public.unpack and not keep:
        shutil.rmtree(archives, ignore_errors=True)
    return folder / public.top


def target(public: PublicSet, home: Path) -> Path:
    """Return the folder in which the published files of a set are looked for."""
    folder = folder_of(public, home)
    return folder / ARCHIVES if public.unpack else folder


def fetch(file: PublicFile, folder: Path, ledger: Path, watch: Watch = ignore) -> Path:
    """Fetch one file into `folder`, check it, and return its path. See `get_public`.

    Without a published checksum the first download's is kept, and what comes later is held
    against it.

    Args:
        ledger: the folder in which such checksums are kept.

    Raises:
        UserError: see `get_public`.
    """
    import requests

    pooch = need_pooch()
    known = file.checksum or read_checksums(ledger).get(file.name, "")
    path = folder / file.name
    if path.exists() and known and not pooch.hashes.hash_matches(str(path), known):
        raise UserError(
            f"{path} is not what {file.url} is known to be ({known}): it was cut off, or is "
            "another version.\nDelete it and say the same command again"
        )
    pooch.get_logger().setLevel(logging.ERROR)  # its progress is told by `watch`
    try:
        with explain(path):
            pooch.retrieve(
                url=file.url,
                known_hash=known or None,
                fname=file.name,
                path=folder,
                downloader=Resuming(folder / f".{file.name}.part", watch),
            )
    except requests.RequestException as error:
        raise UserError(
            f"cannot fetch {file.url}: {_why(error)}.\nSay the same command again to go on, or "
            f"fetch it elsewhere and put it here: {path}"
        ) from error
    except ValueError as error:  # pooch's kind for a wrong checksum
        raise UserError(
            f"{file.url} gave a file that is not the known one ({known}): it was damaged on its "
            "way, or its publisher has changed it.\nIt is not kept; say the same command again"
        ) from error
    if not known:
        found = f"sha256:{pooch.file_hash(str(path), alg='sha256')}"
        keep_checksum(ledger, file.name, found)
        text = (
            f"the publisher of {file.name} gives no checksum: that of this file ({found}) is kept, "
            "and later downloads are held against it"
        )
        watch(Event("note", f"fetching {file.name}", text=text))
    return path


def _why(error: Exception) -> str:
    """Say in a few words why a server did not give a file."""
    import requests

    answer = getattr(error, "response", None)
    if answer is not None:
        return f"the server answers {answer.status_code} {answer.reason}"
    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was lost"
    return "there is no connection to it"


def _unpack_all(public: PublicSet, paths: list[Path], folder: Path, watch: Watch) -> None:
    stage = f"unpacking {public.name}"
    watch(Event("start", stage, 0, len(paths)))
    for number, path in enumerate(paths, 1):
        unpack(path, folder)
        watch(Event("step", stage, number, len(paths)))
    watch(Event("end", stage, len(paths), len(paths)))


def _missing(public: PublicSet, archives: Path) -> int:
    """Return the bytes that are still to come."""
    return sum(file.size for file in public.files if not (archives / file.name).exists())
