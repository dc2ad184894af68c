"""Downloads a file so that a later call goes on where an earlier one was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memtk.events import Event, Watch

CHUNK = 1 << 20
TIMEOUT = 60
"""Seconds without a byte after which a connection counts as lost."""


class Resuming:
    """A downloader for pooch: it keeps what has come beside the target and asks for the rest.

    What has come is kept with the server's mark of the version (its ETag), and is thrown away if
    the server has another version by now. Whether all of it is right is pooch's to check.

    Args:
        part: where the bytes gather until all are there.
        watch: told of the progress.
    """

    def __init__(self, part: Path, watch: Watch) -> None:
        self.part, self._watch = part, watch
        self._mark = part.with_name(f"{part.name}.etag")

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """Fetch `url` to the path `output_file`.

        Raises:
            requests.RequestException: if there is no connection, or the server refuses.
        """
        import requests

        have = self.part.stat().st_size if self.part.exists() else 0
        mark = self._mark.read_text() if have and self._mark.exists() else ""
        # Without a mark nothing says that the rest is of the same version: begin anew.
        ask = {"Range": f"bytes={have}-", "If-Range": mark} if have and mark else {}
        with requests.get(url, headers=ask, stream=True, timeout=TIMEOUT) as answer:
            answer.raise_for_status()
            goes_on = answer.status_code == requests.codes.partial_content
            have = have if goes_on else 0
            rest = int(answer.headers.get("Content-Length", 0))
            if not goes_on:
                self._mark.write_text(answer.headers.get("ETag", ""))
            self._write(answer.iter_content(CHUNK), have, have + rest if rest else 0)
        size = self.part.stat().st_size
        if rest and size != have + rest:
            raise requests.exceptions.ChunkedEncodingError(f"it ended after {size} bytes")
        self.part.replace(output_file)
        self._mark.unlink(missing_ok=True)

    def _write(self, chunks: Any, have: int, total: int) -> None:
        stage = f"fetching {self.part.name.removesuffix('.part').lstrip('.')}"
        self._watch(Event("start", stage, have, total))
        with open(self.part, "ab" if have else "wb") as file:
            for chunk in chunks:
                file.write(chunk)
                have += len(chunk)
                self._watch(Event("step", stage, have, total or have))
        self._watch(Event("end", stage, have, have))
