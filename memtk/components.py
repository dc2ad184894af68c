"""A component with its settings: found by its name, and fit for images of some shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memtk.config import build
from memtk.errors import UserError, did_you_mean
from memtk.interfaces import ComponentConfig, ImageSpec, Trainable
from memtk.registry import Entry, Registry


@dataclass(frozen=True)
class ConfiguredComponent:
    """A component, imported, with its configuration."""

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


def find_component(
    registry: Registry, kind: str, name: str, settings: Mapping[str, Any], preset: str
) -> ConfiguredComponent:
    """Import a component and make its configuration.

    Args:
        settings: its own, above those of the preset.
        preset: for a model that has any.

    Raises:
        UserError: for an unknown name, preset, key or value.
        PluginError: if it cannot be imported.
    """
    entry = registry.find(kind, name)
    cls = entry.load()
    if not hasattr(cls, "Config"):
        if settings:
            asked = ", ".join(settings)
            raise UserError(f"{kind} {entry.name!r} has no settings; {asked} was asked")
        return ConfiguredComponent(entry, cls, ComponentConfig())
    defaults: Mapping[str, Any] = {}
    if issubclass(cls, Trainable) and cls.presets:
        if preset not in cls.presets:
            raise UserError(
                f"{kind} {entry.name!r} has no preset {preset!r}: it has {', '.join(cls.presets)}."
                f"{did_you_mean(preset, cls.presets)}"
            )
        defaults = cls.presets[preset]
    return ConfiguredComponent(entry, cls, build(cls.Config, defaults, settings, where=entry.name))


def check_dims(part: ConfiguredComponent, spec: ImageSpec, registry: Registry) -> None:
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
