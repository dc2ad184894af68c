"""From a recipe to components and their configurations: every mistake is found before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memtk.bench.recipe import BenchOptions, Recipe
from memtk.config import build
from memtk.data.config import DataConfig
from memtk.errors import UserError, did_you_mean
from memtk.interfaces import ComponentConfig, ImageSpec, Trainable
from memtk.registry import Entry, Registry


@dataclass(frozen=True)
class Part:
    """A component that a bench uses, imported, with its configuration."""

    entry: Entry
    cls: Any
    config: ComponentConfig

    @property
    def name(self) -> str:
        """The component's name."""
        return self.entry.name

    def make(self, *arguments: Any) -> Any:
        """Construct it: `cls(config, ...)`, or `cls()` where it has no configuration."""
        return self.cls(self.config, *arguments) if hasattr(self.cls, "Config") else self.cls()


@dataclass(frozen=True)
class Plan:
    """All that a bench will use.

    Args:
        generators: one cell each, by the cell's name.
        embedder: None where the similarity compares the images themselves.
    """

    recipe: Recipe
    data: DataConfig
    generators: Mapping[str, Part]
    embedder: Part | None
    similarity: Part
    mitigations: tuple[Part, ...]
    quality: tuple[Part, ...]

    def identity(self) -> dict[str, Any]:
        """Return all that the numbers depend on.

        The recipe, and every component's version and whole configuration: these change with
        presets, defaults and packages.
        """
        parts = [*self.generators.values(), *self.mitigations, *self.quality, self.similarity]
        parts += [self.embedder] if self.embedder else []
        components = {
            f"{part.entry.kind} {part.entry.plugin.name}/{part.name}": {
                "version": f"{part.entry.plugin.distribution} {part.entry.plugin.version}",
                "config": part.config.model_dump(mode="json"),
            }
            for part in parts
        }
        return self.recipe.model_dump(mode="json") | {"components": components}

    def check_dims(self, spec: ImageSpec, registry: Registry) -> None:
        """Refuse components that do not work on images of this shape.

        Raises:
            UserError: naming those of the same kind that do.
        """
        parts = [*self.generators.values(), *self.mitigations, *self.quality, self.similarity]
        for part in [*parts, self.embedder] if self.embedder else parts:
            check_part_dims(part, spec, registry)


def make_plan(recipe: Recipe, registry: Registry) -> Plan:
    """Resolve a recipe's names and settings.

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
    for name in bench.mitigation:
        if bench.mitigation.count(name) > 1:
            raise UserError(f"mitigation {name!r} is asked for twice")
    mitigations = tuple(_part(recipe, registry, "mitigation", n) for n in bench.mitigation)
    generators: dict[str, Part] = {}
    for name in bench.generator:
        try:
            part = _part(recipe, registry, "generator", name, data)
        except UserError as error:
            if len(bench.generator) == 1 or "generator" not in recipe.settings:
                raise
            way = f"For one of several generators alone, say --set {name}.KEY=VALUE."
            raise UserError(f"{error}\n{way}") from error
        for mitigation in mitigations:
            adjusted = mitigation.make().adjust(part.config.model_dump())
            part = Part(part.entry, part.cls, build(part.cls.Config, adjusted, where=part.name))
        cell = "+".join([part.name, *(m.name for m in mitigations)])
        if cell in generators:
            raise UserError(f"generator {name!r} is asked for twice")
        generators[cell] = part
    similarity = _part(recipe, registry, "similarity", bench.similarity)
    needs_embedder = similarity.cls.space == "embedding"
    embedder = _part(recipe, registry, "embedder", bench.embedder) if needs_embedder else None
    if needs_embedder is False and bench.embedder != BenchOptions.model_fields["embedder"].default:
        registry.find("embedder", bench.embedder)  # not used, but a mistyped name is a mistake
    _check_preset(recipe, [*generators.values(), *([embedder] if embedder else [])])
    return Plan(
        recipe=recipe,
        data=data,
        generators=generators,
        embedder=embedder,
        similarity=similarity,
        mitigations=mitigations,
        quality=tuple(_part(recipe, registry, "quality", name) for name in bench.quality),
    )


def check_part_dims(part: Part, spec: ImageSpec, registry: Registry) -> None:
    """Refuse a component that does not work on images of this shape.

    Raises:
        UserError: naming those of the same kind that do.
    """
    entry = part.entry
    if spec.dims in entry.component.dims:
        return
    fits = [e.name for e in registry.entries(entry.kind) if spec.dims in e.component.dims]
    size = "x".join(map(str, spec.shape))
    dims = " or ".join(f"{d}D" for d in sorted(entry.component.dims))
    raise UserError(
        f"{entry.kind} {part.name!r} works on {dims} images; the data are {spec.dims}D "
        f"({size}). For these there are: {', '.join(fits) or 'none'}."
        f"{did_you_mean(part.name, fits)}"
    )


def _part(
    recipe: Recipe, registry: Registry, kind: str, name: str, data: DataConfig | None = None
) -> Part:
    asked = recipe.settings_of(kind, name)
    if data is not None:  # a generator of images in files does to them what is done to the data
        same = getattr(registry.find(kind, name).load(), "as_the_data", ())
        asked = {key: getattr(data, key) for key in same} | asked
    return find_part(registry, kind, name, asked, recipe.bench.preset)


def find_part(
    registry: Registry, kind: str, name: str, asked: Mapping[str, Any], chosen: str
) -> Part:
    """Import a component and make its configuration.

    Args:
        asked: its settings, above those of the preset.
        chosen: the preset, for a model that has any.

    Raises:
        UserError: for an unknown name, preset, key or value.
        PluginError: if it cannot be imported.
    """
    entry = registry.find(kind, name)
    cls = entry.load()
    if not hasattr(cls, "Config"):
        if asked:
            raise UserError(f"{kind} {entry.name!r} has no settings; {', '.join(asked)} was asked")
        return Part(entry, cls, ComponentConfig())
    preset: Mapping[str, Any] = {}
    if issubclass(cls, Trainable) and cls.presets:
        if chosen not in cls.presets:
            raise UserError(
                f"{kind} {entry.name!r} has no preset {chosen!r}: it has {', '.join(cls.presets)}."
                f"{did_you_mean(chosen, cls.presets)}"
            )
        preset = cls.presets[chosen]
    return Part(entry, cls, build(cls.Config, preset, asked, where=entry.name))


def _check_preset(recipe: Recipe, parts: Sequence[Part]) -> None:
    """Refuse a preset that no component of the bench knows and no suite has."""
    known = {"smoke", "demo"} | {p for part in parts for p in getattr(part.cls, "presets", {})}
    chosen = recipe.bench.preset
    if chosen not in known:
        raise UserError(
            f"unknown preset {chosen!r}: there are {', '.join(sorted(known))}."
            f"{did_you_mean(chosen, known)}"
        )
