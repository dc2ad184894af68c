"""Finds the reader of a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from memtk.errors import PluginError, UserError, one_line
from memtk.interfaces import Reader, Record, Volume
from memtk.registry import Entry, Registry


class Readers:
    """All readers of the active plugins.

    Args:
        registry: readers whose requirements are not installed, or that cannot be loaded, are left
            out, and named when nothing else reads a file.
    """

    def __init__(self, registry: Registry) -> None:
        entries = registry.entries("reader")
        self._missing = [entry for entry in entries if entry.missing]
        self._broken: list[str] = []  # one plugin's failure stays its own
        self._readers: list[tuple[Entry, Reader]] = []
        for entry in entries:
            try:
                if not entry.missing:
                    self._readers.append((entry, entry.load()()))
            except Exception as error:
                self._broken.append(f"{entry.name} ({one_line(error)})")
        self._by_path: dict[Path, tuple[Entry, Reader]] = {}

    @property
    def suffixes(self) -> list[str]:
        """The suffixes that some reader knows."""
        return sorted({suffix for _, reader in self._readers for suffix in reader.suffixes})

    def knows(self, path: Path) -> bool:
        """Tell whether the name of a file has a known suffix."""
        return bool(self._matches(path))

    def is_slice(self, path: Path) -> bool:
        """Tell whether a file is one of several that make an image together (by its suffix)."""
        return any(getattr(r, "folders", False) for _, r in self._matches(path))

    def find(self, path: Path) -> tuple[Entry, Reader]:
        """Return the reader of a file, or of a folder that is one series.

        Raises:
            UserError: if none reads it, with the known suffixes.
            PluginError: if two plugins claim the suffix.
        """
        found = self._of_folder(path) if path.is_dir() else self._matches(path)
        if not found:
            missing = [f"{e.name} (needs {', '.join(e.missing)})" for e in self._missing]
            absent = f" Not installed: {', '.join(missing)}." if missing else ""
            absent += f" Left out: {', '.join(self._broken)}." if self._broken else ""
            kind = "holds no image series" if path.is_dir() else "is of an unknown format"
            raise UserError(
                f"{path} {kind}: there are readers for {', '.join(self.suffixes)}.{absent}"
            )
        if len(found) > 1:
            names = [f"{entry.plugin.name}/{entry.name}" for entry, _ in found]
            raise PluginError(
                f"{' and '.join(names)} both read {path.name}: "
                f"set MEMTK_DISABLE_PLUGINS={found[0][0].plugin.name} or the other"
            )
        return found[0]

    def records(self, path: Path) -> Sequence[Record]:
        """List the images in a file, or the one of a folder. See `find` for what is raised."""
        return self.find(path)[1].records(path)

    def read(self, record: Record) -> Volume:
        """Read one image. See `find` for what is raised."""
        if record.path not in self._by_path:
            self._by_path[record.path] = self.find(record.path)
        return self._by_path[record.path][1].read(record)

    def _matches(self, path: Path) -> list[tuple[Entry, Reader]]:
        """Return the readers with the longest suffix that the name ends in."""
        name, best = path.name.lower(), 0
        found: list[tuple[Entry, Reader]] = []
        for entry, reader in self._readers:
            length = max((len(s) for s in reader.suffixes if name.endswith(s)), default=0)
            if length > best:
                best, found = length, []
            if length and length == best:
                found.append((entry, reader))
        return found

    def _of_folder(self, path: Path) -> list[tuple[Entry, Reader]]:
        return [
            (entry, reader)
            for entry, reader in self._readers
            if getattr(reader, "folders", False) and reader.records(path)
        ]
