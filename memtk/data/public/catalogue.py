"""Public data sets: what they are, where they come from, on what terms, and where they lie here."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from memtk.config import load_toml
from memtk.errors import UserError, did_you_mean

PREFIX = "public:"
"""Before the name of a public data set where a source is named, as in `public:hippocampus`."""

FAMILY = "medmnist/"
"""Before the name of a set of MedMNIST."""

HOME = "MEMTK_DATA_HOME"
"""The environment variable that names the folder in which public data sets lie, one folder each."""

DONE = ".complete"
"""A file in the folder of a set, written when all of the set is there."""


@dataclass(frozen=True)
class PublicFile:
    """One file of a public data set, as it is published.

    Args:
        name: of the file here.
        url: where it is published.
        checksum: "md5:..." or "sha256:..." as its publisher gives it; "" where none is known, and
            then the first download's is kept and later ones are held against it.
        size: in bytes, about; 0 where it is not known.
    """

    name: str
    url: str
    checksum: str = ""
    size: int = 0


@dataclass(frozen=True)
class PublicSet:
    """A public data set.

    Args:
        name: by which commands and suites name it.
        title: what it is, in a few words.
        images: how many there are of those that memtk reads.
        patients: how many patients they are of; None where the data do not say.
        licence: under which it may be used.
        citation: what its authors ask to be cited, one text a work.
        homepage: where it is described.
        files: to fetch; none where it takes a sign-up.
        top: of the unpacked files, the folder or the file that is read.
        steps: what a person has to do where no program may.
        notes: what a reader of results should know.
        unpack: whether the files are archives.
    """

    name: str
    title: str
    images: int
    patients: int | None
    licence: str
    citation: tuple[str, ...]
    homepage: str
    files: tuple[PublicFile, ...] = ()
    top: str = ""
    steps: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unpack: bool = True

    @property
    def size(self) -> int:
        """Bytes to fetch, about; 0 where it is not known."""
        return sum(file.size for file in self.files)

    def folder(self, home: Path) -> Path:
        """Return the set's folder below `home`, whether it is there or not."""
        return home.joinpath(*self.name.split("/"))

    def is_there(self, home: Path) -> bool:
        """Tell whether all of it is there: fetched and unpacked, or put there after a sign-up."""
        return (self.folder(home) / (DONE if self.files else self.top)).exists()


def _listed(name: str, entry: Mapping[str, Any]) -> PublicSet:
    """Make a set of its table in `catalogue.toml`."""
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items() if k != "files"}
    files = tuple(PublicFile(**each) for each in entry.get("files", ()))
    made: dict[str, Any] = {"name": name, "patients": None, "files": files, **plain}
    return PublicSet(**made)


PUBLIC = {
    name: _listed(name, entry)
    for name, entry in load_toml(Path(__file__).with_name("catalogue.toml")).items()
}
"""The sets that suites are made of. MedMNIST's are found by `medmnist/NAME` beside them."""


def find_public(name: str) -> PublicSet:
    """Return a public data set by its name.

    Raises:
        UserError: if there is none of that name, or it comes with a package that is missing.
    """
    if name.startswith(FAMILY):
        return _find_medmnist(name)
    if name not in PUBLIC:
        names = [*PUBLIC, f"{FAMILY}pneumoniamnist"]
        raise UserError(
            f"unknown data set {name!r}: there are {', '.join(PUBLIC)} and {FAMILY}NAME."
            f"{did_you_mean(name, names)}"
        )
    return PUBLIC[name]


def data_home() -> Path:
    """Return the folder of all public data: MEMTK_DATA_HOME, else the system's cache folder.

    Raises:
        UserError: if the variable is unset and pooch, which knows the cache folder, is missing.
    """
    named = os.environ.get(HOME)
    if named:
        return Path(named).expanduser()
    return Path(need_pooch().os_cache("memtk"))


def locate(source: str) -> str:
    """Return where the images of a source lie: `public:NAME` is looked up, all else is a path.

    Raises:
        UserError: if the set is unknown, or is not there, saying how to get it.
    """
    if not source.startswith(PREFIX):
        return source
    public, home = find_public(source.removeprefix(PREFIX)), data_home()
    if not public.is_there(home):
        raise UserError(
            f"the data set {public.name} is not in {home}.\n"
            f"Get it: memtk data get {public.name}. Or give a copy of your own with --data PATH"
        )
    return str(public.folder(home) / public.top)


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


_MEDMNIST_CITATION = (
    "Yang et al., MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D biomedical image "
    "classification, Scientific Data 10:41, 2023",
    "and the source of the single set: see https://medmnist.com",
)
_MEDMNIST_NOTES = (
    "MedMNIST has no patient numbers: each image counts as a patient of its own, and the splits "
    "are as published. Where a patient has several images, they may stand on both sides, and a "
    "copy cannot be told from another image of the same patient.",
)


def medmnist_sets() -> dict[str, PublicSet]:
    """Return MedMNIST's sets in all sizes: `medmnist/pneumoniamnist`, `..._64`, ...

    Empty where the package `medmnist` is not installed. Its table is read and not run: importing
    the package needs torchvision, and makes a folder in the home directory.
    """
    made = [
        _of_medmnist(short, key.removeprefix("url"), info)
        for short, info in _medmnist_table().items()
        for key in info
        if key == "url" or key.startswith("url_")
    ]
    return {each.name: each for each in made}


def _find_medmnist(name: str) -> PublicSet:
    """Return one of them by its name, `medmnist/...`.

    Raises:
        UserError: if the package is not installed, or has no such set.
    """
    sets = medmnist_sets()
    if not sets:
        raise UserError(
            f"{name}: the list of MedMNIST's sets comes with the package medmnist, which is not "
            "installed: pip install 'memtk[medmnist]'"
        )
    if name not in sets:
        raise UserError(
            f"unknown data set {name!r}: memtk data list --all shows MedMNIST's {len(sets)}."
            f"{did_you_mean(name, sets)}"
        )
    return sets[name]


def _of_medmnist(short: str, size: str, info: dict[str, Any]) -> PublicSet:
    counts = info["n_samples"]
    dims = 3 if short.endswith("3d") else 2
    side = int(size.removeprefix("_") or 28)
    colour = ", colour" if info["n_channels"] == 3 else ""
    return PublicSet(
        name=f"{FAMILY}{short}{size}",
        title=f"{dims}D {info['python_class']}, {' x '.join([str(side)] * dims)}{colour}",
        images=sum(counts.values()),
        patients=None,
        licence=str(info["license"]),
        citation=_MEDMNIST_CITATION,
        homepage="https://medmnist.com",
        files=(PublicFile(f"{short}{size}.npz", info[f"url{size}"], f"md5:{info[f'MD5{size}']}"),),
        top=f"{short}{size}.npz",
        notes=_MEDMNIST_NOTES,
        unpack=False,
    )


def _medmnist_table() -> dict[str, dict[str, Any]]:
    spec = find_spec("medmnist")  # finds the package without importing it
    places = spec.submodule_search_locations if spec else None
    if not places:
        return {}
    try:
        tree = ast.parse((Path(places[0]) / "info.py").read_text(encoding="utf-8"))
        tables = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "INFO"
        ]
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(
            f"the package medmnist has no list of sets that can be read: {error}"
        ) from error
    return tables[0] if tables else {}
