"""Gets a public data set: fetches, checks, unpacks all or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from memtk.data.public.catalogue import DONE, PublicFile, PublicSet, need_pooch
from memtk.data.public.unpack import unpack
from memtk.errors import UserError
from memtk.events import Event, Watch, ignore
from memtk.files import explain, read_plain, require_space, write_text

ARCHIVES = "archives"
"""Folder of a set in which its archives lie until they are unpacked."""

CHECKSUMS = "checksums.json"
"""File of a set's folder: checksums of first downloads, whose publisher gives none."""

FETCHED = ".fetched"
"""File beside the archives with the names of those that memtk fetched, a line each."""

CHUNK = 1 << 20
TIMEOUT = 60
"""Seconds without a byte after which a connection counts as lost."""


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
    folder = public.folder(home)
    if public.is_there(home):
        watch(Event("skip", f"getting {public.name}"))
        if public.unpack:
            _discard(target(public, home))  # what a killed call had not come to
        return folder / public.top
    if not public.files:
        steps = "\n".join(f"{n}. {step}" for n, step in enumerate(public.steps, 1))
        raise UserError(f"{public.name} takes a sign-up, which no program may do for you:\n{steps}")
    archives = target(public, home)
    with explain(archives):
        archives.mkdir(parents=True, exist_ok=True)
    require_space(folder / DONE, _missing(public, archives))
    paths = [_fetched(file, archives, folder, watch) for file in public.files]
    if public.unpack:
        _unpack_all(public, paths, folder, watch)
    if not (folder / public.top).exists():
        raise UserError(
            f"the files of {public.name} hold no {public.top}: its publisher has changed them, or "
            f"what lies in {archives} is something else. Delete that and get it once more"
        )
    if keep:
        (archives / FETCHED).unlink(missing_ok=True)  # they are the caller's from now on
    write_text(folder / DONE, f"{public.name}\n")
    if public.unpack:
        _discard(archives)
    return folder / public.top


def target(public: PublicSet, home: Path) -> Path:
    """Return the folder in which the published files of a set are looked for."""
    folder = public.folder(home)
    return folder / ARCHIVES if public.unpack else folder


def _fetched(file: PublicFile, archives: Path, folder: Path, watch: Watch) -> Path:
    """Fetch one file; one that was not there is noted as memtk's own before it is."""

    def note() -> None:
        write_text(archives / FETCHED, "".join(f"{n}\n" for n in {*_own(archives), file.name}))

    return fetch(file, archives, folder, watch, note)


def _own(archives: Path) -> list[str]:
    """Return the names of the archives that were fetched, and not put there by a person."""
    try:
        return (archives / FETCHED).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _discard(archives: Path) -> None:
    """Delete the archives that were fetched; those that a person put there stay."""
    for name in (*_own(archives), FETCHED):
        (archives / Path(name).name).unlink(missing_ok=True)
    with suppress(OSError):
        archives.rmdir()


def fetch(
    file: PublicFile,
    folder: Path,
    ledger: Path,
    watch: Watch = ignore,
    note: Callable[[], None] = lambda: None,
) -> Path:
    """Fetch one file into `folder`, check it, and return its path. See `get_public`.

    Without a published checksum the first download's is kept, and what comes later is held
    against it.

    Args:
        ledger: the folder in which such checksums are kept.
        note: called before what was fetched gets its name.

    Raises:
        UserError: see `get_public`.
    """
    import requests

    pooch = need_pooch()
    known = file.checksum or _kept(ledger).get(file.name, "")
    path = folder / file.name
    if path.exists() and known and not pooch.hashes.hash_matches(str(path), known):
        raise UserError(
            f"{path} is not what {file.url} is known to be ({known}): it was cut off, or is "
            "another version.\nDelete it and say the same command again"
        )
    if not path.exists():
        part = Resuming(folder / f".{file.name}.part", watch)
        try:
            with explain(path):
                folder.mkdir(parents=True, exist_ok=True)
                part.fetch(file.url)
        except requests.RequestException as error:
            raise UserError(
                f"cannot fetch {file.url}: {_why(error)}.\nSay the same command again to go on, or "
                f"fetch it elsewhere and put it here: {path}"
            ) from error
        if known and not pooch.hashes.hash_matches(str(part.path), known):
            part.discard()
            raise UserError(
                f"{file.url} gave a file that is not the known one ({known}): it was damaged on "
                "its way, or its publisher has changed it.\nSay the same command again"
            )
        with explain(path):
            note()
            part.finish(path)
    if not known:
        found = f"sha256:{pooch.file_hash(str(path), alg='sha256')}"
        kept = json.dumps(_kept(ledger) | {file.name: found}, indent=2, sort_keys=True)
        write_text(ledger / CHECKSUMS, f"{kept}\n")
        text = (
            f"the publisher of {file.name} gives no checksum: that of this file ({found}) is kept, "
            "and later downloads are held against it"
        )
        watch(Event("note", f"fetching {file.name}", text=text))
    return path


class Resuming:
    """A part of a file that is fetched: what has come is kept, and the rest is asked for.

    It is kept with the server's mark of the version (its ETag), and thrown away if the server has
    another version by now.

    Args:
        path: where the bytes gather.
    """

    def __init__(self, path: Path, watch: Watch) -> None:
        self.path, self._watch = path, watch
        self._mark = path.with_name(f"{path.name}.etag")

    def discard(self) -> None:
        """Remove what has come."""
        self.path.unlink(missing_ok=True)
        self._mark.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        """Give the whole file its name; nothing is left beside it."""
        self._mark.unlink(missing_ok=True)
        self.path.replace(target)

    def fetch(self, url: str) -> None:
        """Fetch `url`, or the rest of it.

        Raises:
            requests.RequestException: if there is no connection, or the server refuses.
        """
        import requests

        have = self.path.stat().st_size if self.path.exists() else 0
        mark = self._mark.read_text(encoding="utf-8") if have and self._mark.exists() else ""
        # Without a mark nothing says that the rest is of the same version: begin anew.
        ask = {"Range": f"bytes={have}-", "If-Range": mark} if have and mark else {}
        with requests.get(url, headers=ask, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                self.discard()  # all of it had come, or more than there is by now
                return self.fetch(url)
            answer.raise_for_status()
            goes_on = answer.status_code == requests.codes.partial_content
            have = have if goes_on else 0
            rest = int(answer.headers.get("Content-Length", 0))
            if not goes_on:
                write_text(self._mark, answer.headers.get("ETag", ""))
            self._write(answer.iter_content(CHUNK), have, have + rest if rest else 0)
        size = self.path.stat().st_size
        if rest and size != have + rest:
            raise requests.exceptions.ChunkedEncodingError(f"it ended after {size} bytes")

    def _write(self, chunks: Any, have: int, total: int) -> None:
        stage = f"fetching {self.path.name.removesuffix('.part').lstrip('.')}"
        self._watch(Event("start", stage, have, total))
        with open(self.path, "ab" if have else "wb") as file:
            for chunk in chunks:
                file.write(chunk)
                have += len(chunk)
                self._watch(Event("step", stage, have, total or have))
        self._watch(Event("end", stage, have, have))


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


def _kept(folder: Path) -> dict[str, str]:
    """Return the checksums that are kept in a set's folder: "sha256:..." by file name.

    Raises:
        UserError: if the file is damaged.
    """
    path = folder / CHECKSUMS
    if not path.exists():
        return {}
    try:
        kept = json.loads(read_plain(path))
    except (OSError, UserError, ValueError, RecursionError) as error:
        raise UserError(
            f"cannot read {path}: {error}. Delete it to trust the files anew"
        ) from error
    if not isinstance(kept, dict):
        raise UserError(f"{path} holds no checksums. Delete it to trust the files anew")
    return {str(name): str(value) for name, value in kept.items()}
