"""What is checked: a component, with its settings and small images for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from memtk.component import KINDS
from memtk.config import build, merge
from memtk.errors import PluginError, UserError
from memtk.interfaces import (
    ComponentConfig,
    Condition,
    Embedder,
    Generator,
    ImageSpec,
    Mitigation,
    Trainable,
    takes_condition,
)
from memtk.noise import Noise
from memtk.registry import Entry, open_registry
from memtk.testing.assertions import TOLERANCE, DoesNotApply, expect
from memtk.testing.short_training import ShortTraining, record_training

SPEC = ImageSpec((16, 16, 16))
"""Shape of the images of the checks where the author names no other."""

FLAT = ImageSpec((32, 32))
"""The same for what works on 2D images alone."""


def smooth_images(spec: ImageSpec, count: int, seed: int = 0) -> Tensor:
    """Return `count` different smooth images: float32 (count, C, *S) in [-1, 1]."""
    coarse = Noise(seed, range(count)).uniform(spec.channels, *[4] * spec.dims)
    mode = "trilinear" if spec.dims == 3 else "bilinear"
    return F.interpolate(coarse * 2 - 1, size=spec.shape, mode=mode)  # (count, C, *S)


BASES = {"generator": Generator, "embedder": Embedder, "mitigation": Mitigation}
"""The kinds that are made by subclassing; the others are protocols."""

PARTS = {
    "similarity": ("space", "prepare", "compare"),
    "reader": ("suffixes", "records", "read"),
    "report": ("title", "__call__"),
    "attack": ("uses", "score"),
    "protocol": ("__call__",),
    "quality": ("__call__",),
}
"""What a class of the other kinds has at least."""

ARGUMENTS = {"protocol": 2, "quality": 2, "report": 1}
"""How many arguments a call of one takes; a quality metric of features takes one."""

PROTOCOL = ["similarities", "levels"]
"""What the arguments of a protocol are called: those of a quality metric are called otherwise."""


def kind_of(cls: Any) -> str:
    """Return the kind of a class, an empty string if it is none.

    A subclass of `Generator`, `Embedder` or `Mitigation` is one; otherwise `prepare` and `compare`
    make a similarity, `records` and `read` a reader, `uses` and `score` an attack, a `title` a
    report section, a call of `similarities` and `levels` a protocol, and a call of two sets of
    images, or of features, a quality metric.
    """
    if not isinstance(cls, type):
        return ""
    for kind, base in BASES.items():
        if issubclass(cls, base):
            return kind
    for kind in PARTS:
        if not missing_parts(kind, cls):
            return kind
    return ""


def missing_parts(kind: str, cls: type) -> list[str]:
    """Return what a class lacks of a kind that is a protocol."""
    missing = [part for part in PARTS[kind] if not hasattr(cls, part)]
    if "__call__" in PARTS[kind] and not missing:
        asked, taken = ARGUMENTS[kind], len(names := _arguments(cls))
        if kind == "protocol" and names != PROTOCOL:
            return [f"a call of {' and '.join(PROTOCOL)}"]
        if kind == "quality" and getattr(cls, "space", "image") == "features":
            asked = 1
        if taken != asked:
            missing.append(f"a call of {asked} arguments (it takes {taken})")
    return missing


def _arguments(cls: type) -> list[str]:
    """Return the names of the arguments that an instance's call takes."""
    call = inspect.getattr_static(cls, "__call__", None)
    if not inspect.isfunction(call):
        return []
    parameters = list(inspect.signature(call).parameters.values())[1:]
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in plain and p.default is inspect.Parameter.empty]


def make_trainable(
    cls: type[Trainable], config: Mapping[str, Any] | None, spec: ImageSpec, seed: int = 0
) -> Any:
    """Construct a generator or embedder: defaults, then the preset `smoke`, then `config`.

    Args:
        seed: of torch's generator, which initial weights may come from.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
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


SEES_IMAGES = CONFIGURED = ("generator", "embedder", "mitigation", "quality", "attack")
"""The kinds that are checked on images of a shape, which have a `Config` too, or may have one."""


@dataclass(frozen=True, eq=False)
class Case:
    """A component, and how it is checked.

    What takes long, above all a short training, is done once for all checks.

    Args:
        component: the class, or its `Entry` in the registry.
        config: settings by name, on top of the preset `smoke`.
        spec: shape of the images, small; 16 voxels a side by default, 32 of what is 2D alone.
        images: its training set, (N, C, *S) in [-1, 1], four or more; smooth noise by default.
        example: of a reader: a sound file of its format (or the folder of a series), or a function
            that writes one into the folder it is given and returns its path.
        known: failures that are known, `{name of the check: why}`. A known failure that passes is
            a failure.
        whole_patients: of a mitigation: its `choose` keeps all images of a patient or none.
        tolerance: how far a value may move with its batch or tile, relative to the largest one.
        kind: "generator", "embedder", ...; told from the class by default.
        entry: how a plugin brings it; by default looked up among the installed plugins.

    >>> Case(dict).kind
    ''
    """

    component: Any
    config: Mapping[str, Any] = field(default_factory=dict)
    spec: ImageSpec | None = None
    images: Tensor | None = None
    example: Path | Callable[[Path], Path] | None = None
    known: Mapping[str, str] = field(default_factory=dict)
    whole_patients: bool = False
    tolerance: float = TOLERANCE
    kind: str = ""
    entry: Entry | None = None

    def __post_init__(self) -> None:
        if isinstance(self.component, Entry):
            object.__setattr__(self, "entry", self.component)
            object.__setattr__(self, "kind", self.kind or self.component.kind)
        else:
            object.__setattr__(self, "kind", self.kind or kind_of(self.component))
            if self.entry is None and isinstance(self.component, type):
                target = f"{self.component.__module__}:{self.component.__qualname__}"
                object.__setattr__(self, "entry", _registered().get((self.kind, target)))

    @cached_property
    def cls(self) -> Any:
        """The class.

        Raises:
            PluginError: if it cannot be imported.
        """
        return self.component.load() if isinstance(self.component, Entry) else self.component

    @property
    def name(self) -> str:
        """The name of the class, or of the component where the class is not imported yet."""
        if isinstance(self.component, Entry):
            return self.component.name
        return str(getattr(self.component, "__name__", self.component))

    @property
    def title(self) -> str:
        """The name, with what it is checked on: "monai3d 3D", "nifti nii_gz"."""
        if self.kind in SEES_IMAGES:
            return f"{self.name} {self.shape.dims}D"
        example = getattr(self.example, "__name__", "")
        return f"{self.name} {example}".strip()

    @cached_property
    def shape(self) -> ImageSpec:
        """The shape of the images of the checks."""
        if self.spec is not None:
            return self.spec
        return FLAT if self.entry and 3 not in self.entry.component.dims else SPEC

    @cached_property
    def x(self) -> Tensor:
        """The images of the checks, (N, C, *S).

        Raises:
            AssertionError: if they are not of the shape that was said.
        """
        if self.images is None:
            return smooth_images(self.shape, 4)
        want, found = (self.shape.channels, *self.shape.shape), tuple(self.images.shape[1:])
        expect(want == found, f"the images given to the check are {found}, the spec says {want}")
        return self.images

    @cached_property
    def lacking(self) -> str:
        """What has to be given before it can be made, in one sentence; empty if nothing."""
        if self.kind == "reader" and self.example is None:
            return "it needs an example file: give one with --example FILE, or in its Case"
        keys = required_settings(self.cls, self.config) if self.kind in CONFIGURED else []
        if keys:
            return f"it needs the settings {', '.join(keys)}: give them with --set, or in its Case"
        return ""

    def refuse_settings(self) -> None:
        """Look at the settings that were given, before anything is checked.

        Raises:
            UserError: for those that it does not take, with the nearest that it does.
        """
        with suppress(PluginError, AssertionError):  # told by the checks
            if not self.lacking:
                build_config(self.cls, self.config)

    def make(self, seed: int = 0) -> Any:
        """Construct it as memtk does: defaults, then the preset `smoke`, then `config`.

        Args:
            seed: that the initial weights of a generator or embedder come from.
        """
        if self.kind in ("generator", "embedder"):
            return self._made(self.shape, seed)
        if self.kind in CONFIGURED and hasattr(self.cls, "Config"):
            return self.cls(make_config(self.cls, self.config))
        return self.cls()

    def _made(self, spec: ImageSpec, seed: int = 0) -> Any:
        return make_trainable(self.cls, self.config, spec, seed)

    @property
    def training(self) -> ShortTraining:
        """A short training, with all that was seen in it. It is done once; the model is in it.

        Raises:
            DoesNotApply: if it has failed before: its failure is told once.
        """
        if "failed" in self.__dict__:
            raise DoesNotApply(f"the short training of it fails: {self.__dict__['failed']}")
        try:
            return self._training
        except BaseException as error:
            self.__dict__["failed"] = type(error).__name__
            raise

    @cached_property
    def _training(self) -> ShortTraining:
        return record_training(self.make(), self.x)

    @cached_property
    def conditional(self) -> tuple[Any, Tensor]:
        """A conditional generator after a short training, and what it was told of each image.

        The images are of two kinds by turns; where it takes no words, of numbers.

        Raises:
            DoesNotApply: if it takes no condition.
        """
        if not takes_condition(self.cls.sample):
            raise DoesNotApply("it takes no condition: its sample has no argument of that name")
        _ = self.training  # if that fails it is told there
        words, numbers = Condition("kind", ("a", "b")), Condition("kind")
        told = (torch.arange(len(self.x)) % 2).float()[:, None]  # (N, 1)
        try:
            made = self._made(replace(self.shape, conditions=(words,)))
        except UserError:
            made = self._made(replace(self.shape, conditions=(numbers,)))
        return record_training(made, self.x, told).model, told

    @property
    def model(self) -> Any:
        """The trained generator or embedder, in eval mode."""
        return self.training.model


@cache
def _registered() -> dict[tuple[str, str], Entry]:
    """Return the installed components by kind and target."""
    registry = open_registry()
    return {(k, e.component.target): e for k in KINDS for e in registry.entries(k)}
