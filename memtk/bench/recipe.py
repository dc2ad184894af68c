"""What was asked of a bench: from a suite, a TOML file and the command line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from memtk.component import KINDS
from memtk.components import metric_names
from memtk.config import build, layered, load_toml, merge, parse_set
from memtk.data.config import PHANTOMS, DataConfig, is_name
from memtk.data.manifest import Row
from memtk.data.public.catalogue import PREFIX
from memtk.data.readers import Readers
from memtk.data.roles import list_sources
from memtk.data.sources import open_source
from memtk.errors import UserError, did_you_mean
from memtk.interfaces import ComponentConfig
from memtk.registry import Registry
from memtk.suites import load_suite


class BenchOptions(ComponentConfig):
    """The table `[bench]` of a recipe."""

    generator: tuple[str, ...] = Field(("monai3d",), min_length=1, description="models to judge")
    embedder: str = Field("ntxent3d", description="copy detector")
    similarity: str = Field("pearson", description="likeness of two embeddings or images")
    mitigation: tuple[str, ...] = Field((), description="applied to every generator, in order")
    compare: tuple[str, ...] = Field(
        (),
        description="mitigations side by side: one more cell of every generator for each; several "
        "that combine are joined by +, and a generator's name in front makes it that one's alone",
    )
    quality: tuple[str, ...] = Field(
        (), description="measures of quality and diversity; all: every one that is installed"
    )
    attack: tuple[str, ...] = Field((), description="membership attacks on the last checkpoint")
    canaries: int = Field(
        0,
        ge=0,
        description="training patients who take part by fair coins, about half of them: attacks on "
        "them bound epsilon; 0: none",
    )
    extractor: str | None = Field(
        None, description="embedder whose features they compare; none: the copy detector"
    )
    preset: str = Field("demo", description="of the components' and the suite's settings")
    embedder_preset: str | None = Field(
        None, description="of the embedder's settings alone; none: preset"
    )
    checkpoints: int = Field(
        5, ge=1, le=1000, description="evaluated checkpoints of each generator"
    )
    samples: int | None = Field(
        None, ge=1, le=10**7, description="synthetic images; none: as many as training"
    )
    condition_from: str | None = Field(
        None,
        description="CSV with the conditions of the samples, one a line, over and over; none: as "
        "the training images have them",
    )
    batch_size: int = Field(
        16, ge=1, le=100_000, description="images sampled or embedded at a time"
    )
    seed: int = Field(0, ge=0, description="all randomness follows from it")
    alpha: float = Field(0.05, ge=1e-9, lt=1, description="level of a single conformal test")
    fdr: float = Field(0.1, ge=1e-9, lt=1, description="false discovery rate of what is flagged")
    plants: int = Field(
        64,
        ge=0,
        description="training patients whose images are planted as copies, to measure how many "
        "are found; 0: none",
    )
    exposure: Literal["last", "all", "none"] = Field(
        "last", description="checkpoints whose exposure side is computed (each needs an embedder)"
    )

    @field_validator("exposure", mode="before")
    @classmethod
    def _nothing_is_none(cls, value: Any) -> Any:
        return "none" if value is None else value  # as `--set bench.exposure=none` is read


class SuiteName(ComponentConfig):
    """The table `[suite]`: what results must share to stand in one table."""

    name: str = Field(pattern=r"^\w[\w.-]*$", max_length=60)
    version: str = Field(pattern=r"^\w[\w.-]*$", max_length=20)

    @field_validator("version", mode="before")
    @classmethod
    def _a_number_is_a_version(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value


class Recipe(ComponentConfig):
    """All that determines the numbers of a run.

    Args:
        suite: name and version, or None for a user's own data.
        data: keys of `memtk.data.DataConfig`.
        settings: configuration by "generator", "embedder", "extractor" or a component's own name;
            the own name wins.
        note: why a suite that was asked for does not name the run; no part of what is stored.
    """

    suite: SuiteName | None
    bench: BenchOptions
    data: dict[str, Any]
    settings: dict[str, dict[str, Any]]
    note: str = Field("", exclude=True)

    def settings_of(self, kind: str, name: str) -> dict[str, Any]:
        """Return the configuration that was asked for one component."""
        short = name.rpartition("/")[2]
        return merge(self.settings.get(kind, {}), self.settings.get(short, {}))


def make_recipe(*layers: Mapping[str, Any], names: tuple[str, ...] = ()) -> Recipe:
    """Make a recipe from nested dicts, the last one winning: suite, file, command line.

    Args:
        names: of all known components, which are tables of a recipe too.

    Raises:
        UserError: for an unknown table or key, or a setting of a component that is not used.
    """
    for layer in layers:
        for table, value in layer.items():
            if not isinstance(value, Mapping):
                raise UserError(f"{table} = {value!r}: expected keys below it, {table}.KEY=VALUE")
    merged = merge(*layers)
    preset = merged.get("bench", {}).get("preset", BenchOptions.model_fields["preset"].default)
    of_preset = merged.pop("presets", {}).get(str(preset), {})
    suites = [layer for layer in layers if "suite" in layer]
    # A preset's table lies above its own suite and below what the user says.
    merged = merge(*suites, of_preset, *(layer for layer in layers if "suite" not in layer))
    merged.pop("presets", None)
    bench = build(BenchOptions, merged.pop("bench", {}), where="bench")
    suite = merged.pop("suite", None)
    data = merged.pop("data", {})
    compared = [n for entry in bench.compare for n in split_names(entry, bench.generator)[1]]
    names_used = (*bench.generator, *bench.mitigation, *compared, *bench.quality, *bench.attack)
    used = {n.rpartition("/")[2] for n in names_used}
    used |= {bench.embedder.rpartition("/")[2], bench.similarity.rpartition("/")[2]}
    used |= {"extractor", bench.extractor.rpartition("/")[2]} if bench.extractor else set()
    allowed = {"generator", "embedder", *used}
    for table in merged:
        if table in allowed:
            continue
        if table in names:
            raise UserError(
                f"settings for {table!r}, which this bench does not use: leave out "
                f"{table}.{next(iter(merged[table]), 'KEY')}, or ask for {table}"
            )
        known = sorted({"bench", "data", *allowed})
        raise UserError(
            f"unknown key {table!r}: there are {', '.join(known)}.{did_you_mean(table, known)}"
        )
    return build(Recipe, {"suite": suite, "bench": bench, "data": data, "settings": merged})


def read_recipe(
    registry: Registry,
    asked: Mapping[str, Any],
    *,
    suite: str | None = None,
    data: str | None = None,
    config: Path | None = None,
    sets: Sequence[str] = (),
) -> Recipe:
    """Make a recipe from what a command line says.

    Args:
        asked: keys of `BenchOptions`, and `condition` of the data.
        suite: name or file of a suite; without it and without data the phantoms are used.
        data: the user's own images; beside a suite of public images, their copy of these.
        config: a TOML file, no suite, with tables `[bench]`, `[data]`, `[generator]`, ...
        sets: texts `KEY=VALUE`; they win over the file.

    Raises:
        UserError: for anything unknown, contradictory, or said twice.
    """
    definition = load_suite(suite) if suite else None
    if definition and data and not _is_public(definition):
        raise UserError("--suite brings its own images: give --suite or --data, not both")
    file = load_toml(config) if config else {}
    if "suite" in file:
        raise UserError(f"{config} is a suite: give it with --suite")
    sets_as_tables = [parse_set(text) for text in sets]
    for table, value in ((t, v) for said in sets_as_tables for t, v in said.items()):
        if not isinstance(value, Mapping):
            raise UserError(f"--set {table}={value}: expected a key below it, {table}.KEY=VALUE")
    bench = {key: value for key, value in asked.items() if key != "condition"}
    columns = {"data": {"condition": asked["condition"]}} if "condition" in asked else {}
    said = layered(merge(*sets_as_tables), {"bench": bench, **columns})
    own = merge(file, said)
    for table in ("bench", "data"):
        if not isinstance(own.get(table, {}), Mapping):
            raise UserError(f"{table} = {own[table]!r}: expected keys below it, {table}.KEY=VALUE")
    if data:
        if "source" in own.get("data", {}):
            raise UserError("--data and data.source both name images: give one of them")
        said = merge(said, {"data": {"source": data}})
        own = merge(own, said)
    flat = _flat(own, registry)
    defaults: dict[str, Any] = {}
    if flat and "embedder" not in own["bench"]:
        defaults = {"bench": {"embedder": "ntxent2d"}}
    if definition is None and "source" not in own.get("data", {}):
        definition = load_suite("phantom2d" if flat else "phantom3d")
    if definition is not None:
        layer = {table: value for table, value in definition.items() if table != "members"}
        defaults = merge(defaults, layer)
    names = tuple(e.name for kind in KINDS for e in registry.entries(kind))
    layers = (_all_metrics(layer, registry) for layer in (defaults, file, said))
    recipe = make_recipe(*layers, names=names)
    if definition is None or recipe.suite is None:
        return recipe
    # Other images are another benchmark: a suite's name stands for its own images alone.
    images = build(DataConfig, recipe.data, where="data")
    why = difference(definition, recipe.bench.preset, images, registry)
    if not why and recipe.bench.canaries != definition.get("bench", {}).get("canaries", 0):
        why = "canaries hold some of its training patients back"
    if not why:
        return recipe
    name = f"{recipe.suite.name} {recipe.suite.version}"
    note = f"these are not the images of the suite {name} ({why}): a run on data of your own"
    return recipe.model_copy(update={"suite": None, "note": note if suite else ""})


def _is_public(suite: Mapping[str, Any]) -> bool:
    return str(suite.get("data", {}).get("source", "")).startswith(PREFIX)


def _all_metrics(layer: Mapping[str, Any], registry: Registry) -> Mapping[str, Any]:
    """Put the name of every quality metric whose packages are installed in the place of "all"."""
    bench = layer.get("bench", {})
    asked = bench.get("quality", ()) if isinstance(bench, Mapping) else ()
    names = [asked] if isinstance(asked, str) else asked
    if not isinstance(names, (list, tuple)) or "all" not in names:
        return layer  # what is no list is told of later
    return merge(layer, {"bench": {"quality": metric_names(names, registry)}})


def _flat(own: Mapping[str, Any], registry: Registry) -> bool:
    """Tell whether the images have two axes.

    By the generators that are asked for; where each works on both 2D and 3D images, by the data.
    """
    asked = own["bench"].get("generator", BenchOptions.model_fields["generator"].default)
    names = asked if isinstance(asked, list | tuple) else [asked]
    dims = [registry.find("generator", str(name)).component.dims for name in names]
    place = own.get("data", {}).get("source")
    if {2} in dims or {3} in dims or place is None or is_name(str(place)):
        return ({2} in dims or PHANTOMS.get(str(place)) == 2) and {3} not in dims
    with suppress(UserError):  # said where the images are read
        source = open_source(build(DataConfig, own["data"], where="data"), registry)
        first = next((s for s in source.samples if s.split == "training"), None)
        return first is not None and source.load(first).voxels.ndim - 1 == 2
    return False


def split_names(entry: str, generators: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """Return the generator that an entry of `compare` is for, and its mitigations.

    None: for every generator.

    Raises:
        UserError: if a name is empty or none is left.

    >>> split_names("augment+smaller", ["monai2d"])
    (None, ('augment', 'smaller'))
    >>> split_names("monai2d+augment", ["monai2d"])
    ('monai2d', ('augment',))
    """
    names = [name.strip() for name in entry.split("+")]
    only = names.pop(0) if names[0] in generators else None
    if not names or not all(names):
        raise UserError(
            f"--compare {entry!r}: name a mitigation, or several joined by +, as in "
            "augment+release-filter"
        )
    return only, tuple(names)


def suite_data(suite: Mapping[str, Any], preset: str) -> DataConfig:
    """Return the settings of the data that a suite has with a preset.

    Raises:
        UserError: if the suite's file has settings that do not exist.
    """
    of_preset = suite.get("presets", {}).get(preset, {}).get("data", {})
    return build(DataConfig, merge(suite.get("data", {}), of_preset), where="data")


def difference(suite: Mapping[str, Any], preset: str, data: DataConfig, registry: Registry) -> str:
    """Return in what a run's data are not those of a suite, "" if they are.

    All settings must be the suite's own. Where the suite has a table `[members]`, the images may
    lie elsewhere: they are listed and counted, and one is read for its size. No voxels are
    compared: that two results are of the very same voxels is said by their fingerprints.

    Args:
        suite: its definition.
        data: of the run.

    Raises:
        UserError: if the source cannot be listed, or its images are stored at another size than
            the suite's, so that its resampling would ruin them.
    """
    own = suite_data(suite, preset)
    members = suite.get("members")
    changed = _changed(own, data, {"source"} if members else set())
    if not members:
        return changed
    readers = Readers(registry)
    rows = [row for row in list_sources(data, readers).rows if row.split != "synthetic"]
    if data.spacing == own.spacing and "stored" in members:
        _check_size(rows, members["stored"], data, readers, suite["suite"]["name"])
    patients = {row.patient for row in rows}
    for word, count in (("images", len(rows)), ("patients", len(patients))):
        if word in members and count != members[word]:
            return f"it has {count} {word}, the suite {members[word]}"
    if "digest" in members and digest(patients) != members["digest"]:
        return "its patients have other numbers than the suite's"
    return changed


def digest(patients: Iterable[str]) -> str:
    """Return SHA-256 of the sorted patients, one a line.

    >>> digest(["b", "a"]) == digest(["a", "b", "a"])
    True
    """
    return hashlib.sha256("\n".join(sorted(set(patients))).encode()).hexdigest()


def _changed(own: DataConfig, data: DataConfig, free: set[str]) -> str:
    """Name the settings that are not the suite's, but for those that are free."""
    theirs, ours = (each.model_dump(exclude=free) for each in (own, data))
    keys = [key for key in theirs if theirs[key] != ours[key]]
    return f"{', '.join(f'data.{key}' for key in keys)} is not the suite's" if keys else ""


def _check_size(
    rows: Sequence[Row], stored: Sequence[int], data: DataConfig, readers: Readers, name: str
) -> None:
    if not rows or data.spacing is None:
        return
    found = readers.read(rows[0].record).voxels.shape[1:]
    if found == tuple(stored) or len(found) != len(stored):
        return
    fits = [s * there / n for s, there, n in zip(data.spacing, found, stored, strict=True)]
    size, wanted = ("x".join(map(str, shape)) for shape in (found, stored))
    raise UserError(
        f"these images are stored at {size}; the suite {name} is made for {wanted}, which it "
        f"resamples by data.spacing={_plain(data.spacing)}.\n"
        f"For these say --set data.spacing={_plain(fits)}"
    )


def _plain(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
