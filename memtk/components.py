"""A component with its settings: found by its name, and fit for images of some shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from pydantic import ValidationError

from memtk.config import build, merge
from memtk.errors import PluginError, UserError, did_you_mean
from memtk.interfaces import (
    ComponentConfig,
    Embedder,
    Generator,
    ImageSpec,
    Mitigation,
    Phase,
    Trainable,
)
from memtk.registry import Entry, Registry
from memtk.surroundings import restore

LAYERS, PARAMETERS = 5_000, 2_000_000_000
"""No model of medical images comes near: 8 GB of weights."""

MOST_VALUES = 1_000_000
"""Values of an embedding, or voxels along an axis that an embedder looks at."""


PARTS = {
    "generator": ("phases", "sample"),
    "embedder": ("phases", "embed"),
    "similarity": ("space", "prepare", "compare"),
    "attack": ("uses", "score"),
    "reader": ("records", "read"),
}
"""What a class has that is a component of a kind."""

BASES = {"generator": Generator, "embedder": Embedder, "mitigation": Mitigation}
"""What the classes of a kind are subclasses of."""


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

    def identity(self) -> dict[str, Any]:
        """Return its version and whole configuration, which change with packages and presets."""
        plugin = self.entry.plugin
        version = f"{plugin.distribution} {plugin.version}"
        return {"version": version, "config": self.config.model_dump(mode="json")}

    def make(self, *arguments: Any) -> Any:
        """Construct it: `cls(config, ...)`, or `cls()` where it has no configuration.

        Raises:
            UserError: if a model is larger than any that fits in memory.
        """
        if not hasattr(self.cls, "Config"):
            return self.cls()
        if not issubclass(self.cls, Trainable):
            return self.cls(self.config, *arguments)
        with _within_reason(self.name):
            made = self.cls(self.config, *arguments)
        phases = made.phases()
        restore()
        with self.entry.blamed("phases"):
            if not isinstance(phases, tuple | list):
                raise UserError(f"a {type(phases).__name__}, not a tuple")
            if odd := [each for each in phases if not isinstance(each, Phase)]:
                raise UserError(f"a {type(odd[0]).__name__}, not a Phase")
        if isinstance(made, Embedder):
            with self.entry.blamed("width"):
                _check_counts(getattr(made, "width", None))
            with self.entry.blamed("resolution"):
                if made.resolution is not None:
                    _check_counts(*made.resolution)
        return made


def _check_counts(*values: object) -> None:
    """Refuse what is no number of voxels along an axis, or of values of an embedding."""
    for value in values:
        if not isinstance(value, Integral) or value is True or not 0 < int(value) <= MOST_VALUES:
            raise UserError(f"{value!r}, not a whole number from 1 to {MOST_VALUES:,}")


@contextmanager
def _within_reason(name: str) -> Iterator[None]:
    """Stop the construction of a model that grows beyond `LAYERS` or `PARAMETERS`."""
    from torch.nn.modules.module import (
        register_module_module_registration_hook,
        register_module_parameter_registration_hook,
    )
    from torch.nn.parameter import is_lazy

    count = {"layers": 0, "parameters": 0}

    def grow(what: str, by: int, most: int) -> None:
        count[what] += by
        if count[what] > most:
            raise UserError(
                f"{name} has more than {most:,} {what} with these settings: make it smaller"
            )

    hooks = (
        register_module_module_registration_hook(lambda *_: grow("layers", 1, LAYERS)),
        register_module_parameter_registration_hook(
            lambda _module, _name, made: grow(
                "parameters", 0 if made is None or is_lazy(made) else made.numel(), PARAMETERS
            )
        ),
    )
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
            raise
        raise UserError(
            f"{name} does not fit in memory with these settings: make it smaller"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


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
    missing = {part for part in PARTS.get(kind, ()) if not hasattr(cls, part)}
    if lacks := sorted(missing | {*getattr(cls, "__abstractmethods__", ())}):
        raise PluginError(
            f"{entry.origin}: {entry.component.target} is no {kind}, it lacks {' and '.join(lacks)}"
        )
    base = BASES.get(kind)
    if base and not (isinstance(cls, type) and issubclass(cls, base)):
        raise PluginError(
            f"{entry.origin}: {entry.component.target} is no {kind}, it is no subclass of "
            f"memtk.interfaces.{base.__name__}"
        )
    if not hasattr(cls, "Config"):
        if settings:
            asked = ", ".join(settings)
            raise UserError(f"{kind} {entry.name!r} has no settings; {asked} was asked")
        return ConfiguredComponent(entry, cls, ComponentConfig())
    if not (isinstance(cls.Config, type) and issubclass(cls.Config, ComponentConfig)):
        raise PluginError(f"{kind} {entry.name!r}: its Config is no ComponentConfig")
    if not isinstance(getattr(cls, "presets", {}), Mapping):
        raise PluginError(f"{kind} {entry.name!r}: its presets are no table")
    defaults: Mapping[str, Any] = {}
    if issubclass(cls, Trainable) and cls.presets:
        if preset not in cls.presets:
            raise UserError(
                f"{kind} {entry.name!r} has no preset {preset!r}: it has {', '.join(cls.presets)}."
                f"{did_you_mean(preset, cls.presets)}"
            )
        defaults = cls.presets[preset]
        if not isinstance(defaults, Mapping):
            raise PluginError(f"{kind} {entry.name!r}: its preset {preset!r} is no table")
    given = merge(defaults, settings)
    try:
        return ConfiguredComponent(entry, cls, build(cls.Config, given, where=entry.name))
    except UserError as error:
        if isinstance(wrong := error.__cause__, ValidationError) and any(
            item["type"] != "missing" and item["loc"] and item["loc"][0] not in given
            for item in wrong.errors()
        ):  # a default of its own
            with entry.blamed("its Config"):
                raise
        raise


def metric_names(names: Sequence[str], registry: Registry) -> tuple[str, ...]:
    """Return names of quality metrics, where one is "all" those whose packages are installed."""
    if "all" not in names:
        return tuple(names)
    return tuple(entry.name for entry in registry.entries("quality") if not entry.missing)


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
