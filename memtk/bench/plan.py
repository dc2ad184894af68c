"""From a recipe to components and their configurations: every mistake is found before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from memtk.bench.conditioning import check_conditions, contents_of
from memtk.bench.recipe import BenchOptions, Recipe, split_names
from memtk.components import ConfiguredComponent, check_dims, find_component
from memtk.config import build
from memtk.data.config import DataConfig
from memtk.errors import UserError, did_you_mean
from memtk.evaluation.context import named_folder
from memtk.evaluation.quality import by_features
from memtk.interfaces import ImageSpec, Stage
from memtk.registry import Entry, Registry
from memtk.results import MitigationEffect, SettingChange

AMONG_SAMPLES = frozenset({Stage.STOP, Stage.SCREEN})
"""Stages that choose among samples: the training, the samples and their evaluation stay."""

BY_SCORE = (Stage.TEACH, Stage.STOP, Stage.SCREEN)
"""Stages that choose by a score: what comes of them is evaluated by a second embedder."""


@dataclass(frozen=True)
class Plan:
    """All that a bench will use.

    Args:
        generators: one cell each, by the cell's name.
        embedder: None where the similarity compares the images themselves.
        mitigations: those that every generator gets.
        applied: all those of each cell, in order, by the cell's name.
        attacks: membership attacks on the last checkpoint of every cell.
        changes: what they changed in the generator's settings, by cell.
        extractor: the embedder whose features the quality metrics compare; None where none does.
        protocols: all that are installed; each measures every checkpoint.
        workers: processes that read images, where that pays; no number depends on it.
    """

    recipe: Recipe
    data: DataConfig
    generators: Mapping[str, ConfiguredComponent]
    embedder: ConfiguredComponent | None
    similarity: ConfiguredComponent
    mitigations: tuple[ConfiguredComponent, ...]
    quality: tuple[ConfiguredComponent, ...]
    extractor: ConfiguredComponent | None = None
    applied: Mapping[str, tuple[ConfiguredComponent, ...]] = field(default_factory=dict)
    changes: Mapping[str, tuple[MitigationEffect, ...]] = field(default_factory=dict)
    attacks: tuple[ConfiguredComponent, ...] = ()
    protocols: tuple[Entry, ...] = ()
    workers: int = 1

    def mitigations_of(self, cell: str) -> tuple[ConfiguredComponent, ...]:
        """Return the mitigations of a cell, in order."""
        return self.applied.get(cell, self.mitigations)

    def all_mitigations(self) -> tuple[ConfiguredComponent, ...]:
        """Return every mitigation of any cell once."""
        parts = [*self.mitigations, *(part for each in self.applied.values() for part in each)]
        return tuple({part.name: part for part in parts}.values())

    def identity(self) -> dict[str, Any]:
        """Return all that the numbers depend on: the recipe, and what the components are."""
        parts = [*self.all_mitigations(), *self.quality, *self.attacks, self.similarity]
        parts += [self.embedder] if self.embedder else []
        named = [(part.entry.kind, part) for part in parts]
        named += [
            (f"{part.entry.kind} of {cell}" if self.applied.get(cell) else part.entry.kind, part)
            for cell, part in self.generators.items()
        ]
        if self.extractor and self.extractor != self.embedder:
            named.append(("extractor", self.extractor))
        components = {
            f"{kind} {part.entry.plugin.name}/{part.name}": part.identity() for kind, part in named
        }
        told = contents_of(self.recipe)
        return self.recipe.model_dump(mode="json") | {"components": components} | told

    def default_folder(self) -> Path:
        """Return the folder that a bench always gets, so that the same command finds its run."""
        what = self.recipe.suite.name if self.recipe.suite else "data"
        return named_folder(f"{what}-{self.recipe.bench.preset}", self.identity())

    def check_dims(self, spec: ImageSpec, registry: Registry) -> None:
        """Refuse components that do not work on images of this shape.

        Raises:
            UserError: naming those of the same kind that do.
        """
        parts = [*self.generators.values(), *self.all_mitigations(), *self.quality, *self.attacks]
        parts += [p for p in (self.similarity, self.embedder, self.extractor) if p]
        for part in parts:
            check_dims(part, spec, registry)


def make_plan(recipe: Recipe, registry: Registry, *, adjust: bool = True) -> Plan:
    """Resolve a recipe's names and settings.

    Args:
        adjust: False: the generators' settings are already as the mitigations leave them.

    Raises:
        UserError: for an unknown name, preset, key or value.
        PluginError: if a component cannot be imported.
    """
    bench = recipe.bench
    data = build(DataConfig, recipe.data, where="data")
    if data.synthetic_source:
        raise UserError(
            "a bench makes its synthetic images itself: leave out data.synthetic_source, or say "
            "memtk audit for images that are there already"
        )
    if bench.canaries and not bench.attack:
        raise UserError(
            f"--canaries {bench.canaries} holds patients back for attacks, and none is asked for: "
            "add one, e.g. --attack gan-leaks, or leave --canaries out"
        )
    mitigations = tuple(_part(recipe, registry, "mitigation", n) for n in bench.mitigation)
    generators: dict[str, ConfiguredComponent] = {}
    applied: dict[str, tuple[ConfiguredComponent, ...]] = {}
    changes: dict[str, tuple[MitigationEffect, ...]] = {}
    for name, names in cells_of(bench):
        try:
            part = _part(recipe, registry, "generator", name, data)
        except UserError as error:
            if len(bench.generator) == 1 or "generator" not in recipe.settings:
                raise
            other = next((n for n in bench.generator if n != name), name)
            way = f"generator.KEY is set for all of them; for one alone say {other}.KEY."
            raise UserError(f"{error}\n{way}") from error
        parts = tuple(_part(recipe, registry, "mitigation", n) for n in names)
        cell = cell_name(part, parts)
        if cell in generators:
            raise UserError(f"{'cell' if parts else 'generator'} {cell!r} is asked for twice")
        for mitigation in parts if adjust else ():
            part, changed = adjusted_by(mitigation, part, cell)
            if changed:
                effect = MitigationEffect(
                    mitigation=mitigation.name, did="settings", changes=list(changed)
                )
                changes[cell] = (*changes.get(cell, ()), effect)
        generators[cell], applied[cell] = part, parts
    check_conditions(recipe, data, generators)
    similarity = _part(recipe, registry, "similarity", bench.similarity)
    needs_embedder = similarity.cls.space == "embedding"
    embedder = _embedder(recipe, registry, generators) if needs_embedder else None
    if needs_embedder is False and bench.embedder != BenchOptions.model_fields["embedder"].default:
        registry.find("embedder", bench.embedder)  # not used, but a mistyped name is a mistake
    _check_preset(recipe, [*generators.values(), *([embedder] if embedder else [])])
    quality = tuple(_part(recipe, registry, "quality", name) for name in bench.quality)
    for cell, parts in applied.items():
        check_applied(cell, generators[cell], parts, similarity, quality, bench.exposure)
    return Plan(
        recipe=recipe,
        data=data,
        generators=generators,
        embedder=embedder,
        similarity=similarity,
        mitigations=mitigations,
        quality=quality,
        extractor=_extractor(recipe, registry, quality, embedder),
        applied=applied,
        changes=changes,
        attacks=tuple(_part(recipe, registry, "attack", n) for n in dict.fromkeys(bench.attack)),
        protocols=tuple(registry.entries("protocol")),
    )


def _part(
    recipe: Recipe, registry: Registry, kind: str, name: str, data: DataConfig | None = None
) -> ConfiguredComponent:
    asked = recipe.settings_of(kind, name)
    if data is not None:  # a generator of images in files does to them what is done to the data
        same = getattr(registry.find(kind, name).load(), "as_the_data", ())
        asked = {key: getattr(data, key) for key in same} | asked
    return find_component(registry, kind, name, asked, recipe.bench.preset)


def _embedder(
    recipe: Recipe, registry: Registry, generators: Mapping[str, ConfiguredComponent]
) -> ConfiguredComponent:
    """Return the copy detector, with a preset of its own where one was asked for.

    Raises:
        UserError: also if it lacks the generators' preset, saying how it gets another one.
    """
    bench = recipe.bench
    entry, asked = registry.find("embedder", bench.embedder), bench.embedder_preset or bench.preset
    presets = getattr(entry.load(), "presets", {})
    if presets and asked not in presets and bench.embedder_preset is None:
        dims = set().union(*(part.entry.component.dims for part in generators.values()))
        if not dims & entry.component.dims:
            fits = [e.name for e in registry.entries("embedder") if dims & e.component.dims]
            works, wanted = (
                " or ".join(f"{d}D" for d in sorted(each)) for each in (entry.component.dims, dims)
            )
            raise UserError(
                f"embedder {entry.name!r} works on {works} images, but {', '.join(generators)} on "
                f"{wanted} ones.\nFor these there are: --embedder {', '.join(fits) or 'none'}"
            )
        raise UserError(
            f"embedder {entry.name!r} has no preset {asked!r}: it has {', '.join(presets)}.\n"
            f"Say which of them it takes: --set bench.embedder_preset={next(iter(presets))}"
        )
    return find_component(
        registry, "embedder", bench.embedder, recipe.settings_of("embedder", entry.name), asked
    )


def _extractor(
    recipe: Recipe,
    registry: Registry,
    quality: Sequence[ConfiguredComponent],
    embedder: ConfiguredComponent | None,
) -> ConfiguredComponent | None:
    """Return the embedder whose features the quality metrics compare; None where none does.

    Raises:
        UserError: if one is needed and there is none, or one was named that nothing uses.
    """
    bench = recipe.bench
    asking = [p.name for p in quality if by_features(p)]
    if bench.extractor is None:
        if asking and embedder is None:
            raise UserError(
                f"quality metric {asking[0]!r} compares features, and this bench has no embedder "
                f"to make them: similarity {bench.similarity!r} compares the images themselves.\n"
                "Name one with --extractor, or leave the metric out."
            )
        return embedder if asking else None
    entry = registry.find("embedder", bench.extractor)
    if not asking:
        raise UserError(
            f"extractor {entry.name!r} is asked for, but no quality metric that compares features: "
            "add one, e.g. --quality fid, or leave it out"
        )
    if embedder and embedder.entry == entry and "extractor" not in recipe.settings:
        return embedder
    preset = bench.embedder_preset or bench.preset
    return find_component(
        registry, "embedder", bench.extractor, recipe.settings_of("extractor", entry.name), preset
    )


def _check_preset(recipe: Recipe, parts: Sequence[ConfiguredComponent]) -> None:
    """Refuse a preset that no component of the bench knows and no suite has."""
    known = {"smoke", "demo"} | {p for part in parts for p in getattr(part.cls, "presets", {})}
    chosen = recipe.bench.preset
    if chosen not in known:
        raise UserError(
            f"unknown preset {chosen!r}: there are {', '.join(sorted(known))}."
            f"{did_you_mean(chosen, known)}"
        )


def cells_of(bench: BenchOptions) -> list[tuple[str, tuple[str, ...]]]:
    """Return the cells of a bench: a generator's name, and the mitigations on it in order.

    Raises:
        UserError: if a mitigation is asked for twice, or an entry of `compare` names none.
    """
    found: list[tuple[str, tuple[str, ...]]] = []
    for name in bench.generator:
        found.append((name, bench.mitigation))
        for entry in bench.compare:
            only, names = split_names(entry, bench.generator)
            if only in (None, name):
                found.append((name, (*bench.mitigation, *names)))
    for _, names in found:
        if twice := [n for n in names if names.count(n) > 1]:
            raise UserError(f"mitigation {twice[0]!r} is asked for twice")
    return found


def cell_name(generator: ConfiguredComponent, mitigations: Sequence[ConfiguredComponent]) -> str:
    """Return the name of a cell: monai2d+augment."""
    return "+".join([generator.name, *(part.name for part in mitigations)])


def adjusted_by(
    mitigation: ConfiguredComponent, part: ConfiguredComponent, cell: str
) -> tuple[ConfiguredComponent, tuple[SettingChange, ...]]:
    """Return a generator as a mitigation leaves its settings, and what was changed."""
    before = part.config.model_dump()
    try:
        adjusted = mitigation.make().adjust(before)
    except UserError as error:
        raise UserError(f"{cell}: {error}") from error
    with mitigation.entry.blamed("adjust"):
        config = build(part.cls.Config, adjusted, where=part.name)
    was, now = part.config.model_dump(mode="json"), config.model_dump(mode="json")
    changes = tuple(
        SettingChange(key=key, before=value, after=now[key])
        for key, value in was.items()
        if value != now[key]
    )
    return replace(part, config=config), changes


def check_applied(
    cell: str,
    part: ConfiguredComponent,
    mitigations: Sequence[ConfiguredComponent],
    similarity: ConfiguredComponent,
    quality: Sequence[ConfiguredComponent],
    exposure: str,
) -> None:
    """Refuse mitigations that could not do or could not be judged in a cell.

    Raises:
        UserError: with the way out.
    """
    for mitigation in mitigations:
        own = mitigation.cls.stages()
        if own & {Stage.TEACH, Stage.SCREEN} and similarity.cls.space != "embedding":
            raise UserError(
                f"{cell}: {mitigation.name} goes by what the copy detector finds, and what it "
                f"leaves has to be judged by a second one. Similarity {similarity.name} compares "
                "the images themselves, where there is no second: say --similarity pearson"
            )
        if Stage.TEACH in own and part.cls.learns_from != "training":
            raise UserError(
                f"{cell}: {part.name} learns nothing from the training images, so that "
                f"{mitigation.name} has nothing to do: leave it out for {part.name}"
            )
        if mitigation.cls.needs_quality and not quality:
            raise UserError(
                f"{cell}: {mitigation.name} weighs memorization against quality, and the bench "
                "measures none: name a measure, as in --quality ms-ssim"
            )
        mitigation.make().check([measure.name for measure in quality], exposure)
