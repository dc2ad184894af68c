"""A component's configuration, and a component made as memtk makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from memtk.config import build, merge
from memtk.errors import UserError
from memtk.interfaces import ComponentConfig, ImageSpec, Trainable
from memtk.testing.verdict import expect

STRANGE = "no_component_has_a_key_of_this_name"


def make_trainable(cls: type[Trainable], config: Mapping[str, Any] | None, spec: ImageSpec) -> Any:
    """Construct a generator or embedder: defaults, then the preset `smoke`, then `config`."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # initial weights may come from it
        return cls(make_config(cls, config), spec)


def make_config(cls: type, config: Mapping[str, Any] | None, preset: str = "smoke") -> Any:
    """Build the `Config` of a component: its defaults, then a preset, then `config`.

    Raises:
        AssertionError: if it is no `ComponentConfig`, or cannot be built.
    """
    try:
        return build_config(cls, config, preset)
    except UserError as error:
        raise AssertionError(
            f"{cls.__name__}.Config cannot be built from the preset {preset!r} and what was given: "
            f"{' '.join(str(error).split())}"
        ) from error


def build_config(cls: type, config: Mapping[str, Any] | None, preset: str = "smoke") -> Any:
    """Do the same, and leave what cannot be built to the caller.

    Raises:
        AssertionError: if it is no `ComponentConfig`.
        UserError: if it cannot be built.
    """
    return build(config_class(cls), getattr(cls, "presets", {}).get(preset, {}), config or {})


def config_class(cls: type) -> type[ComponentConfig]:
    """Return the `Config` of a component.

    Raises:
        AssertionError: if it is no `ComponentConfig`.
    """
    kind: Any = getattr(cls, "Config", None)
    expect(
        isinstance(kind, type) and issubclass(kind, ComponentConfig),
        f"{cls.__name__}.Config is {kind!r}, not a subclass of memtk.interfaces.ComponentConfig",
    )
    return kind


def required_settings(cls: type, config: Mapping[str, Any]) -> list[str]:
    """Return the settings without a default that neither the preset `smoke` nor `config` gives."""
    kind: Any = getattr(cls, "Config", None)
    given = merge(getattr(cls, "presets", {}).get("smoke", {}), config)
    fields = getattr(kind, "model_fields", {})
    return [name for name, item in fields.items() if item.is_required() and name not in given]
