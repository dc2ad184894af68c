"""What was asked of an audit, resolved, every mistake before any work; and what it would do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field
from rich.console import Group, RenderableType

from memtk.auditing.screen import Screen
from memtk.components import ConfiguredComponent, check_dims, find_component, metric_names
from memtk.config import build, layered, load_toml, merge, parse_set
from memtk.data.arrays import ArrayConfig, ArrayImages
from memtk.data.config import DataConfig, is_name
from memtk.data.prepare import prepare
from memtk.data.readers import Readers
from memtk.data.roles import list_sources
from memtk.data.sources import open_source
from memtk.errors import UserError, did_you_mean, many
from memtk.evaluation.context import named_folder
from memtk.evaluation.detector import weights_in
from memtk.evaluation.dry_run import add_model, image_table, model_table, outlook
from memtk.evaluation.quality import by_features
from memtk.events import Watch, ignore
from memtk.files import file_digest
from memtk.interfaces import ComponentConfig, Embedder, ImageSpec, Levels
from memtk.memorization import Sizes
from memtk.noise import seeded
from memtk.registry import Entry, Registry
from memtk.results import Policy
from memtk.training.devices import open_devices

DETECTORS = {2: "ntxent2d", 3: "ntxent3d"}
"""The copy detector that is taken for images of so many axes."""

PRESETS = ("audit", "demo")
"""Of these the first that the copy detector has."""


class AuditOptions(ComponentConfig):
    """The table `[audit]` of a recipe."""

    embedder: str | None = Field(
        None, description="copy detector; none: ntxent3d, or ntxent2d for 2D images"
    )
    weights: str | None = Field(
        None,
        description="trained weights of the embedder (a checkpoint, or a run folder of memtk) in "
        "place of training it; it must have seen none of these images",
    )
    similarity: str = Field("pearson", description="likeness of two embeddings or images")
    preset: str | None = Field(
        None, description="of the embedder's settings; none: audit, where it has one, or demo"
    )
    plants: int = Field(
        100, ge=0, description="training patients whose images are planted as copies; 0: none"
    )
    exposure: bool = Field(
        True, description="test the training images too (it trains a second embedder)"
    )
    quality: tuple[str, ...] = Field(
        (), description="measures of quality and diversity; all: every one that is installed"
    )
    batch_size: int = Field(32, ge=1, le=100_000, description="images embedded at a time")
    seed: int = Field(0, ge=0, description="all randomness follows from it")
    alpha: float = Field(0.05, ge=1e-9, lt=1, description="level of a single conformal test")
    fdr: float = Field(0.1, ge=1e-9, lt=1, description="false discovery rate of what is flagged")


@dataclass(frozen=True)
class AuditPlan:
    """All that an audit will use.

    Args:
        embedder: None where the similarity compares the images themselves.
        preset: of the embedder.
        settings: what was asked of the components beyond their preset.
        weights: the file that the option names; None where the embedder is trained.
        protocols: all that are installed; each measures the synthetic set.
        quality: metrics; those that compare features take the embedder's.
        screen: what a first audit took away; None without one.
        workers: processes that read images, where that pays; no number depends on it.
        keep_prepared: whether whole images are kept where the embedder sees reduced ones.
    """

    options: AuditOptions
    data: DataConfig
    embedder: ConfiguredComponent | None
    similarity: ConfiguredComponent
    preset: str
    settings: dict[str, dict[str, Any]]
    weights: Path | None = None
    protocols: tuple[Entry, ...] = ()
    quality: tuple[ConfiguredComponent, ...] = ()
    screen: Screen | None = None
    workers: int = 1
    keep_prepared: bool = False

    def identity(self) -> dict[str, Any]:
        """Return all that the numbers depend on: what was asked, and the components' versions."""
        given = {"weights": file_digest(self.weights)[:32]} if self.weights else {}
        asked = self.options.model_dump(mode="json", exclude=None if self.quality else {"quality"})
        return {
            "audit": asked,
            **given,
            **({"screen": f"{self.screen.threshold:.9g}"} if self.screen else {}),
            "data": self.data.model_dump(mode="json", exclude_unset=True),
            "settings": self.settings,
            "components": {
                f"{part.entry.kind} {part.entry.plugin.name}/{part.name}": part.identity()
                for part in self._parts()
            },
        }

    def look(self, registry: Registry, spec: ImageSpec) -> tuple[int, ...] | None:
        """Return to which shape (*S) the images are reduced that are kept; None: whole ones are.

        Raises:
            UserError: if the embedder does not work on images of this shape.
        """
        if self.embedder is None or self.keep_prepared or not all(map(by_features, self.quality)):
            return None
        self.check_dims(spec, registry)
        with seeded(0):
            model: Embedder = self.embedder.make(spec)
        return model.resolution

    def check_dims(self, spec: ImageSpec, registry: Registry) -> None:
        """Refuse components that do not work on images of this shape.

        Raises:
            UserError: naming those that do.
        """
        for part in self._parts():
            check_dims(part, spec, registry)

    def _parts(self) -> list[ConfiguredComponent]:
        return [self.similarity, *([self.embedder] if self.embedder else []), *self.quality]


def make_audit_plan(
    registry: Registry,
    asked: Mapping[str, Any],
    *,
    data: Mapping[str, Any],
    config: Path | None = None,
    sets: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
) -> AuditPlan:
    """Resolve what a command line says.

    Args:
        asked: keys of `AuditOptions`.
        data: keys of `memtk.data.config.DataConfig`; they win over the file. In place of a
            source there may be `memtk.data.arrays.ArrayImages`.
        config: a TOML file with tables `[audit]`, `[data]`, `[embedder]`.
        sets: texts `KEY=VALUE`; they win over the file.
        settings: the same as nested tables.

    Raises:
        UserError: for an unknown name, key or value, or images that are not there.
        PluginError: if a component cannot be imported.
    """
    file = load_toml(config) if config else {}
    held = [images for images in data.values() if isinstance(images, ArrayImages)]
    named = {k: v.source if isinstance(v, ArrayImages) else v for k, v in data.items()}
    below = merge(settings or {}, *map(parse_set, sets))
    said = merge(file, layered(below, {"audit": dict(asked), "data": named}))
    for table, value in said.items():
        if not isinstance(value, Mapping):
            raise UserError(f"{table} = {value!r}: expected keys below it, {table}.KEY=VALUE")
    options = build(AuditOptions, said.pop("audit"), where="audit")
    quality = tuple(
        find_component(registry, "quality", name, said.get(name, {}), "")
        for name in metric_names(options.quality, registry)
    )
    of_metrics = {part.name: said.pop(part.name) for part in quality if part.name in said}
    if "source" not in said["data"]:
        raise UserError(
            "which images was the generator trained on? Name them: --train T --val V, or --data "
            "manifest.csv"
        )
    said["data"] = _absolute(said["data"])
    images = build(ArrayConfig, said.pop("data"), where="data").holding(held)
    _check_splits_are_said(images, registry)
    found = find_detector(registry, options, said, lambda: _dims(images, registry))
    if found.embedder is None and "all" in options.quality:
        quality = tuple(part for part in quality if not by_features(part))
    if found.embedder is None and (asking := [p.name for p in quality if by_features(p)]):
        raise UserError(
            f"quality metric {asking[0]!r} compares features, and similarity "
            f"{options.similarity!r} compares the images themselves, with no embedder to make "
            "any: leave the metric out, or compare embeddings with --similarity pearson"
        )
    return AuditPlan(
        options,
        images,
        found.embedder,
        found.similarity,
        found.preset,
        of_metrics | ({"embedder": found.settings} if found.settings else {}),
        weights_in(options.weights),
        tuple(registry.entries("protocol")),
        quality,
    )


@dataclass(frozen=True)
class DetectorChoice:
    """What finds copies.

    Args:
        similarity: of two embeddings, or of two images.
        embedder: None where the images themselves are compared.
        settings: of the embedder beyond its preset.
    """

    similarity: ConfiguredComponent
    embedder: ConfiguredComponent | None
    preset: str
    settings: dict[str, Any]


def find_detector(
    registry: Registry, options: AuditOptions, said: Mapping[str, Any], dims: Callable[[], int]
) -> DetectorChoice:
    """Find the components of a copy detector.

    Args:
        said: their settings: tables "embedder" or by the name of a component; no others.
        dims: tells of how many axes the images are.

    Raises:
        UserError: for an unknown name, key or value.
        PluginError: if a component cannot be imported.
    """
    said = dict(said)
    similarity = find_component(
        registry, "similarity", options.similarity, said.pop(options.similarity, {}), ""
    )
    embedder, preset, own_settings = None, "", {}
    if similarity.cls.space == "embedding":
        name = options.embedder or DETECTORS[dims()]
        own = name.rpartition("/")[2]
        own_settings = merge(said.pop("embedder", {}), said.pop(own, {}))
        preset = options.preset or _preset(registry, name)
        embedder = find_component(registry, "embedder", name, own_settings, preset)
    else:
        unused = [f"--{key}" for key in ("embedder", "weights", "preset") if getattr(options, key)]
        if unused or "embedder" in said:
            raise UserError(
                f"similarity {options.similarity!r} compares the images themselves: leave out "
                f"{', '.join(unused) or 'the settings of embedder'}, or compare embeddings with "
                "--similarity pearson"
            )
    if said:
        known = ["audit", "data", *(["embedder"] if embedder else [])]
        table = sorted(said)[0]
        raise UserError(
            f"unknown key {table!r}: there are {', '.join(known)}.{did_you_mean(table, known)}"
        )
    return DetectorChoice(similarity, embedder, preset, own_settings)


def _check_splits_are_said(data: DataConfig, registry: Registry) -> None:
    """Refuse to draw the training images at random where a generator has been trained already."""
    if data.synthetic_source is None or data.validation_source or data.is_phantom:
        return
    unsaid = sum(not row.split for row in list_sources(data, Readers(registry)).rows)
    if unsaid:
        raise UserError(
            f"{data.source} does not say which of its images the generator was trained on "
            f"({many(unsaid, 'image')} without a split): mark them train and val in a manifest, or "
            "name two sources with --train and --val"
        )


def _absolute(data: Mapping[str, Any]) -> dict[str, Any]:
    """Name sources by their whole paths: `memtk release` may be called from another folder."""

    def whole(key: str, value: Any) -> Any:
        if not key.endswith("source") or not isinstance(value, str) or is_name(value):
            return value
        return str(Path(value).expanduser().absolute())

    return {key: whole(key, value) for key, value in data.items()}


def _preset(registry: Registry, name: str) -> str:
    presets = getattr(registry.find("embedder", name).load(), "presets", {})
    return next((preset for preset in PRESETS if preset in presets), next(iter(presets), ""))


def _dims(data: DataConfig, registry: Registry) -> int:
    """Return the number of spatial axes of the first training image."""
    source = open_source(data, registry)
    first = next((s for s in source.samples if s.split == "training"), source.samples[0])
    dims = source.load(first).voxels.ndim - 1
    if dims not in DETECTORS:
        raise UserError(f"{first.name} has {dims} axes: images of 2 or 3 are audited")
    return dims


def describe_audit(
    plan: AuditPlan,
    registry: Registry,
    *,
    watch: Watch = ignore,
    out: Path | None = None,
    device: str = "auto",
    policy: Policy | None = None,
) -> RenderableType:
    """Read and check the images, build the embedder, and return what would be done.

    Args:
        policy: by which it is said what a pass takes; None: the default one.

    Raises:
        UserError: for all that the audit itself would refuse before training.
    """
    devices = open_devices(device)
    with tempfile.TemporaryDirectory() as folder:
        look = partial(plan.look, registry)
        dataset = prepare(plan.data, Path(folder), registry, watch, workers=plan.workers, look=look)
        spec, counts = dataset.spec, dataset.counts()
        plan.check_dims(spec, registry)
    models = model_table()
    if plan.embedder is not None:
        trained = add_model(models, plan.embedder.name, plan.embedder, spec, devices)
        if plan.options.exposure and plan.options.weights is None and trained:
            models.add_row(plan.embedder.name, "again, on the synthetic images", "", "", "")
    options = plan.options
    training = counts["training"]["patients"]
    sizes = Sizes(
        training=training,
        validation=counts["validation"]["patients"],
        synthetic=counts["synthetic"]["images"],
        planted=min(options.plants, training),
    )
    levels = Levels(alpha=options.alpha, fdr=options.fdr)
    said = outlook(sizes, policy or Policy(), levels).sentences()
    if not options.exposure:
        said = ("Without the exposure side no audit can pass: leave out --no-exposure.", *said[1:])
    last = (
        f"up to {many(plan.options.plants, 'planted patient')}; similarity "
        f"{plan.options.similarity}; run "
        f"folder {out or named_folder('audit', plan.identity())}\n" + "\n".join(said)
    )
    shown: list[RenderableType] = [image_table(spec, counts)]
    shown += [models] if plan.embedder else []
    return Group(*shown, last)
