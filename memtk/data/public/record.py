"""What is known of a public data set before a byte of it is fetched."""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "public:"
"""Before the name of a public data set where a source is named, as in `public:hippocampus`."""


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
