"""Checks of a component's configuration; makes the component as memtk does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from memtk.config import build
from memtk.errors import UserError
from memtk.interfaces import ComponentConfig, ImageSpec, Trainable
from memtk.testing.verdict import expect

STRANGE = "no_component_has_a_key_of_this_name"


def make_trainable(cls: type[Trainable], config: Mapping[str, Any] | None, spec: ImageSpec) -> Any:
    """Construct a generator or embedder: defaults, then the preset `smoke`, then `config`."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # initial weights may come from it
        return cls(make_config(cls, config), spec)


def make_config(cls: type, config: Mapping[str, Any] | None) -> Any:
    """Build the `Config` of a component.

    Raises:
        AssertionError: if it is no `ComponentConfig`, takes unknown keys, or cannot be built again
            from what it dumps (a mitigation may do so).
    """
    kind: Any = getattr(cls, "Config", None)
    expect(
        isinstance(kind, type) and issubclass(kind, ComponentConfig),
        f"{cls.__name__}.Config is {kind!r}, not a subclass of memtk.interfaces.ComponentConfig",
    )
    preset: Mapping[str, Any] = getattr(cls, "presets", {}).get("smoke", {})
    try:
        made = build(kind, preset, config or {})
    except UserError as error:
        raise AssertionError(
            f"{cls.__name__}.Config cannot be built from the preset 'smoke' and what was given: "
            f"{error}"
        ) from error
    _check_unknown_keys(cls, made)
    again = kind.model_validate(made.model_dump())
    expect(again == made, f"{cls.__name__}.Config is not equal to what is built from its dump")
    return made


def check_same_images(spec: ImageSpec, shape: tuple[int, ...]) -> None:
    """Refuse images that are not of the shape that was said.

    Raises:
        AssertionError: with both shapes.
    """
    want = (spec.channels, *spec.shape)
    expect(shape == want, f"the images given to the check are {shape}, the spec says {want}")


def _check_unknown_keys(cls: type, config: ComponentConfig) -> None:
    try:
        build(type(config), config.model_dump(), {STRANGE: 1})
    except UserError:
        return
    raise AssertionError(f"{cls.__name__}.Config takes an unknown key; it must refuse it")
