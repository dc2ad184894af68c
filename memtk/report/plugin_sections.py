"""Sections that plugins add to the report. One plugin's failure stays its own."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.text import Text
from PIL import Image

from memtk.data.images import StoredImages
from memtk.errors import is_failure
from memtk.interfaces import ImageSpec, ReportFigure, ReportRun, SectionContent
from memtk.interfaces.report import Page
from memtk.registry import Entry, Registry
from memtk.report.figures.style import as_uri, quiet
from memtk.report.page import Figure, Section, make_section
from memtk.report.pictures import Window, plane_sizes, planes, short_hash, show_image
from memtk.results import has_arrays, read_arrays
from memtk.results.redact import named, redact

BUDGET = 8_000_000
"""Bytes that the sections of plugins may add to one page, all together."""

_DROPPED = {"script", "style", "iframe", "object", "embed", "template", "form", "noscript"}
_DROPPED |= {"plaintext", "xmp", "noembed", "noframes"}  # would swallow what follows
_EMPTY = {"base", "link", "meta", "html", "head", "body", "frameset", "frame"}
_VOID = {"area", "br", "col", "hr", "img", "input", "source", "wbr"}
_OURS = re.compile(r"\bstep-\d{6,}\b")
"""What memtk calls the arrays of a checkpoint: no number of a patient."""
_NEVER = {"srcset", "srcdoc", "action", "formaction", "poster", "background", "ping"}
_FETCHED = re.compile(r"url\((?!\s*['\"]?#)", re.IGNORECASE)
_PNG = b"\x89PNG\r\n\x1a\n"


class PluginSections:
    """The sections of plugins in one page; none without a registry."""

    def __init__(self, registry: Registry | None) -> None:
        self.entries = registry.entries("report") if registry else ()
        self.left = BUDGET

    def among(self, parts: Sequence[Section], run: Callable[[], ReportRun]) -> list[Section]:
        """Return the sections of a cell or an audit with those of plugins among them.

        A section stands after that which it names, else after the last of `parts`. One that returns
        None is left out. One that fails is a line in the report; why it failed is not shown,
        because the error may name a file or a patient.

        Args:
            run: makes what a section is given.
        """
        placed: dict[str, list[Section]] = {}
        for entry in self.entries:
            try:
                after, section = self._section(entry, run)
            except BaseException as error:
                if not is_failure(error):
                    raise
                what = error.args[0] if isinstance(error, _Refused) else "failed"
                line = f"section {entry.name} of plugin {entry.plugin.name} {what}"
                body = Markup('<p class="note">{}</p>').format(line)
                after, section = "", Section(entry.name, entry.component.summary, body)
            if section is not None:
                known = any(part.name == after for part in parts)
                placed.setdefault(after if known else "", []).append(section)
        among = [each for part in parts for each in (part, *placed.get(part.name, ()))]
        return [*among, *placed.get("", ())]

    def _section(
        self, entry: Entry, make_run: Callable[[], ReportRun]
    ) -> tuple[str, Section | None]:
        maker, run = entry.load()(), make_run()
        after, title = getattr(maker, "after", ""), _plain(str(maker.title))
        if run.page not in getattr(maker, "pages", ("bench",)):
            return after, None
        content = maker(run)
        if content is None:
            return after, None
        if isinstance(content, str):
            content = SectionContent(content)
        section = make_section(
            entry.name,
            title,
            "plugin.html",
            body=clean(content.html),
            figures=[embed(figure) for figure in content.figures],
        )
        size = len(section.body.encode())
        if size > self.left:
            raise _Refused(f"is too large: {size / 1e6:.1f} MB, {self.left / 1e6:.1f} MB are left")
        self.left -= size
        return after, section


class _Refused(Exception):
    """A section that is not shown, for a reason that may be."""


def embed(figure: ReportFigure) -> Figure:
    """Return a plugin's figure as the page embeds it.

    Raises:
        Exception: if it is neither a figure nor an image, or a text in it may name somebody.
    """
    image, width = figure.image, figure.width
    if type(width) is not int or width < 0:
        raise ValueError("its width is no number of pixels")
    if not isinstance(image, bytes):
        _require_harmless(text.get_text() for text in image.findobj(Text))
        width = width or round(96 * image.get_figwidth())  # CSS has 96 pixels to the inch
        with quiet():
            uri = as_uri(image)
    elif image.startswith(_PNG):
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(image), formats=["PNG"]) as pixels:
            pixels.load()
            pixels.info = {}  # what a program wrote beside the pixels
            pixels.save(buffer, "PNG")
        uri = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    else:
        svg = _Svg(image.decode())
        _require_harmless(svg.texts)
        uri = f"data:image/svg+xml;base64,{base64.b64encode(image).decode()}"
    return Figure(uri, _plain(figure.alt), _plain(figure.caption), width)


def clean(html: str) -> Markup:
    """Return HTML with all elements closed, without scripts, names and what would be fetched.

    >>> clean("<p onclick='x()'>of /home/me/a.nii <b>now<script>1</script>")
    Markup('<p>(not shown)<b>now</b></p>')
    """
    cleaner = _Cleaner()
    cleaner.feed(html)
    cleaner.close()
    return Markup("".join([*cleaner.out, *(f"</{tag}>" for tag in reversed(cleaner.open))]))


class _Cleaner(HTMLParser):
    """Writes HTML anew from its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.out: list[str] = []
        self.open: list[str] = []
        self.within: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.within or tag in _EMPTY:
            return
        if tag in _DROPPED:
            self.within = tag
            return
        kept = "".join(
            f' {escape(name)}="{escape(_plain(value or "", name))}"'
            for name, value in attrs
            if _may_stay(name, value or "")
        )
        self.out.append(f"<{escape(tag)}{kept}>")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.within:
            self.within = None if tag == self.within else self.within
        elif tag in self.open:
            while (last := self.open.pop()) != tag:
                self.out.append(f"</{last}>")
            self.out.append(f"</{tag}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _DROPPED:
            self.handle_starttag(tag, attrs)
            if tag not in _VOID and not self.within and tag not in _EMPTY:
                self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        if not self.within:
            self.out.append(escape(_plain(data)))


class _Svg(HTMLParser):
    """Collects what an SVG says: text, comments, and attributes that programs write names to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        if "<svg" not in text[:2000]:
            raise ValueError("neither SVG nor PNG")
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        spoken = ("docname", "label", "title", "desc")
        self.texts += [v for name, v in attrs if v and name.rpartition(":")[2] in spoken]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    handle_comment = handle_data


def _may_stay(name: str, value: str) -> bool:
    if name == "src":
        return value.startswith("data:image/png;base64,")
    if name in ("href", "xlink:href"):
        return value.startswith("#")
    if _FETCHED.search(value) or (name == "style" and ("\\" in value or "image-set" in value)):
        return False
    return not name.startswith("on") and name not in _NEVER


def _plain(text: str, attribute: str = "") -> str:
    """Return a text that names no file and no patient."""
    if attribute in ("src", "style", "d", "points", "transform") or not named(_OURS.sub("", text)):
        return text
    return redact(text)


def _require_harmless(texts: Iterator[str] | Sequence[str]) -> None:
    if any(named(_OURS.sub("", text)) for text in texts):
        raise _Refused("has a figure in which a file or a patient may be named")


def run_of(
    page: Page,
    result: Any,
    path: Path,
    labels: Sequence[str],
    images: Mapping[str, StoredImages],
    names: Mapping[str, tuple[str, np.ndarray | None]],
    key: bytes,
) -> ReportRun:
    """Return what a section may know of a cell or an audit.

    Args:
        path: its arrays, and `labels` those of them that a section may read.
        images: by split; empty where they were taken away.
        names: what a split is called in short names, and the places of its rows there; None where
            they are the same.
    """

    def short_name(split: str, row: int) -> str:
        name, places = names.get(split, (split, None))
        return short_hash(key, name, int(row if places is None else places[row]))

    def picture(split: str, row: int) -> tuple[bytes, ...]:
        stored = images[split]
        sizes = plane_sizes(stored.spec.spacing, stored.spec.dims)
        shown = [
            show_image(plane, Window(-1, 1), size, 150)
            for plane, size in zip(planes(stored.read([row])[0].numpy()), sizes, strict=True)
        ]
        return tuple(base64.b64decode(each.uri.partition(",")[2]) for each in shown)

    return ReportRun(
        page=page,
        result=redact(result.model_dump(mode="json")),
        arrays=_Arrays(path, [label for label in labels if has_arrays(path, label)]),
        images={split: _Nameless(stored) for split, stored in images.items()},
        short_name=short_name,
        picture=picture,
    )


class _Arrays(Mapping[str, Mapping[str, np.ndarray]]):
    """Arrays by label, read when they are asked for."""

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        self._path, self._labels = path, tuple(labels)

    def __getitem__(self, label: str) -> Mapping[str, np.ndarray]:
        if label not in self._labels:
            raise KeyError(label)
        found = read_arrays(self._path, label)
        return {name: array for name, array in found.items() if array.dtype.kind in "biuf"}

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)


class _Nameless:
    """Images without their patients."""

    def __init__(self, images: StoredImages) -> None:
        self._images = images

    @property
    def spec(self) -> ImageSpec:
        return self._images.spec

    def __len__(self) -> int:
        return len(self._images)

    def read(self, indices: Sequence[int]) -> Any:
        return self._images.read(indices)
