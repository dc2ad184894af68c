"""Where the numbers come from, as rows of text, and the command that gives them again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memtk.config import flat
from memtk.errors import many
from memtk.results import Audit, Counts, Data, Device, EmbedderTrainedOn, Policy, Result, Spec, Used
from memtk.results.formats import duration, share
from memtk.results.redact import names_something, redact_settings
from memtk.results.schema import Losses
from memtk.results.store import KEY

Rows = list[tuple[str, str]]

_OPTIONS = (
    *("generator", "embedder", "similarity", "mitigation", "compare", "quality", "attack"),
    *("extractor", "preset", "checkpoints", "samples", "seed"),
)
"""Keys of the recipe's table `bench` that have an option of that name."""

_SOURCES = {
    "source": ("--train", "YOUR_TRAINING_IMAGES"),
    "validation_source": ("--val", "YOUR_VALIDATION_IMAGES"),
    "held_out_source": ("--held-out", "YOUR_HELD_OUT_IMAGES"),
    "synthetic_source": ("--synthetic", "YOUR_SYNTHETIC_IMAGES"),
}
"""Keys of the recipe's table `data` that an audit has an option for."""

_AUDIT = ("embedder", "similarity", "preset", "plants", "alpha", "fdr", "seed")
"""Keys of the table `audit` that have an option of that name."""

SEPARATOR = " \\\n  "

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+,@=:/-]{0,199}")
"""What an option of the recipe's table `bench` may be: names of components, numbers."""

_TABLES = frozenset({"suite", "bench", "data", "audit", "embeddings"})
"""Tables of a recipe that are no component's."""


@dataclass(frozen=True)
class Component:
    """A component as the page lists it: its role, origin and settings."""

    role: str
    name: str
    origin: str
    settings: Rows


@dataclass(frozen=True)
class Provenance:
    """Where the numbers of a cell or an audit come from.

    Args:
        components: with package, version and settings.
        counts: split, images, patients; None of synthetic images, whom no patient is known of.
        recipe: what was done to the voxels.
        facts: seed, versions, device and so on.
    """

    components: list[Component]
    counts: list[tuple[str, int, int | None]]
    recipe: Rows
    facts: Rows
    timing: Rows


def provenance_of(result: Result) -> Provenance:
    """Return the provenance of a cell. It names no path, no file and no patient."""
    parts = result.components
    used: list[tuple[str, Used | None]] = [
        ("generator", parts.generator),
        ("embedder", parts.embedder),
        ("similarity", parts.similarity),
        *(("mitigation", mitigation) for mitigation in parts.mitigations),
        *(("quality", metric) for metric in parts.quality),
        ("extractor", parts.extractor),
        *(("attack", attack) for attack in parts.attacks),
    ]
    counts = _counts(result.data.counts)
    seen = result.used_training
    if seen != result.data.counts.get("training"):
        counts.insert(1, ("training, used", seen.images, seen.patients))
    counts.append(("synthetic, each checkpoint", result.last.n_synthetic, None))
    suite = result.suite
    return Provenance(
        components=[_component(role, part) for role, part in used if part is not None],
        counts=counts,
        recipe=flatten(redact_settings(result.data.recipe)),
        facts=[
            *_images(result.data),
            ("suite", f"{suite.name}, version {suite.version}" if suite else "none: own data"),
            ("preset", result.preset),
            *_run(result.seed, result.memtk_version, result.versions, result.device),
            *_saw(result.embedder_trained_on, {"copies": result.training.get("embedder", {})}),
        ],
        timing=_timing(result.timing),
    )


def provenance_of_audit(audit: Audit) -> Provenance:
    """Return the provenance of an audit. It names no path, no file and no patient."""
    used = [("embedder", audit.embedder), ("similarity", audit.similarity)]
    used += [("quality", metric) for metric in audit.metrics]
    return Provenance(
        components=[_component(role, part) for role, part in used if part is not None],
        counts=_counts(audit.counts),
        recipe=flatten(redact_settings(audit.data.recipe)) if audit.data else [],
        facts=[
            *(_images(audit.data) if audit.data else [("images", "none: embeddings were given")]),
            *_run(audit.seed, audit.memtk_version, audit.versions, audit.device),
            *_saw(audit.embedder_trained_on, audit.training),
        ],
        timing=_timing(audit.timing),
    )


def real_images(counts: Mapping[str, Counts], spec: Spec | None) -> str:
    """Return real patients, and the size of their images if there are any, in a line."""
    said = []
    for split in ("training", "validation"):
        images, patients = counts[split].images, counts[split].patients
        several = "" if images == patients else f" ({many(images, 'image')})"
        said.append(f"{many(patients, f'{split} patient')}{several}")
    if spec is None:
        return f"{', '.join(said)}, as embeddings"
    unit = "pixels" if len(spec.shape) == 2 else "voxels"
    return f"{', '.join(said)}, {' × '.join(map(str, spec.shape))} {unit}"


def _counts(counts: Mapping[str, Counts]) -> list[tuple[str, int, int | None]]:
    return [
        (name.replace("_", " "), c.images, None if name == "synthetic" else c.patients)
        for name, c in counts.items()
    ]


def _images(data: Data) -> Rows:
    spec = data.spec
    size = " × ".join(map(str, spec.shape)) + (f", {spec.channels} channels" * (spec.channels > 1))
    spacing = " × ".join(f"{value:g}" for value in spec.spacing)
    return [
        ("images", f"{data.source}, {size}{f', {spacing} mm' if spacing else ''}"),
        ("data fingerprint", data.fingerprint),
    ]


def _run(seed: int, version: str, versions: Mapping[str, str], device: Device) -> Rows:
    return [
        ("seed", str(seed)),
        ("memtk", version),
        *versions.items(),
        ("device", f"{device.name}, {device.processes} process{'es' * (device.processes > 1)}"),
        *((f"precision, {phase}", what) for phase, what in device.precision.items()),
    ]


def _saw(saw: EmbedderTrainedOn | None, training: Mapping[str, Losses]) -> Rows:
    """Return what each side's embedder was trained on, and for how long by its losses."""
    if saw is None:
        return []
    said = {
        "none": "not asked for",
        "given": "given, with all that it has seen",
        "training": "training images",
        "synthetic": "synthetic images",
    }
    return [
        (f"embedder for the {side} saw", said.get(what, what) + _for_long(training.get(side, {})))
        for side, what in (("copies", saw.copies), ("exposure", saw.exposure))
    ]


def _for_long(losses: Losses) -> str:
    """Return for how many steps an embedder was trained, and what it saw of planted copies then."""
    said = []
    for curve in losses.values():
        seen = [v for _, values in curve if 0 <= (v := values.get("seen", -1)) <= 1]
        copies = f", {share(seen[-1])} of planted copies seen" if seen else ""
        said.append(f", {curve[-1][0]:,} steps{copies}" if curve else "")
    return "".join(said)


def _timing(timing: Mapping[str, float]) -> Rows:
    return [(stage, duration(seconds)) for stage, seconds in timing.items()]


def _component(role: str, part: Used) -> Component:
    origin = f"{part.distribution} {part.version}, plugin {part.plugin}"
    return Component(role, part.name, origin, flatten(redact_settings(part.config)))


def flatten(settings: Mapping[str, Any]) -> Rows:
    """Return nested settings as dotted keys and texts, in their order.

    >>> flatten({"a": {"b": 1}, "c": [1, 2], "d": None, "e": {}})
    [('a.b', '1'), ('c', '1, 2'), ('d', 'none')]
    """
    return [(key, as_text(value)) for key, value in flat(settings)]


def as_text(value: Any) -> str:
    """Return a setting as it is typed after `--set KEY=`, and a table by its name.

    >>> as_text([{"name": "view", "words": ["AP", "PA"]}, {"name": "age", "words": []}])
    'view (AP, PA), age'
    >>> as_text({"steps": [1, 2], "ema": True})
    'steps 1, 2; ema true'
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(as_text(item) for item in value)
    if isinstance(value, Mapping) and "name" in value:
        texts = [as_text(each) for key, each in value.items() if key != "name"]
        rest = ", ".join(filter(None, texts))
        return f"{value['name']} ({rest})" if rest else str(value["name"])
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {as_text(each)}" for key, each in value.items())
    return str(value)


def repeat_command(recipe: Mapping[str, Any], *, paths: bool = False) -> str:
    """Return the command line that asks for the same run, one option a line.

    Args:
        recipe: of `run.json`: tables "suite", "bench", "data" and "settings".
        paths: names the places of this machine, for its owner alone; else they are left for the
            reader to fill in: `--data YOUR_DATA`.
    """
    parts = ["memtk bench"]
    bench, data = dict(recipe.get("bench") or {}), dict(recipe.get("data") or {})
    for key in _OPTIONS:
        value = bench.pop(key, None)
        values = value if isinstance(value, list | tuple) else [value]
        parts += [f"--{key} {_option(str(v))}" for v in values if v is not None]
    if bench.get("condition_from") is None:
        bench.pop("condition_from", None)
    suite, source = recipe.get("suite"), data.pop("source", None)
    if suite:
        data = {}  # the suite and the preset say which; named beside, they make another benchmark
        parts.append(f"--suite {_option(str(suite.get('name')))}")
    elif source is not None:
        parts.append(f"--data {shlex.quote(str(source)) if paths else 'YOUR_DATA'}")
    parts += _sets({"bench": bench, "data": data}, recipe, paths)
    return SEPARATOR.join(parts)


def repeat_audit(
    recipe: Mapping[str, Any], policy: Policy, *, paths: bool = False, command: str = "audit"
) -> str:
    """Return the command line that asks for the same audit, one option a line.

    Args:
        recipe: of `run.json`: tables "audit", "data" and "settings"; or "audit" and "embeddings",
            fingerprints of the files, the second None where there was one.
        policy: that was applied; without a file if it is the default one.
        paths: see `repeat_command`.
        command: "check" asks what can be shown with these images, and trains nothing.
    """
    parts = [f"memtk {command}"]
    audit, data = dict(recipe.get("audit") or {}), dict(recipe.get("data") or {})
    if files := recipe.get("embeddings"):
        parts.append("--embeddings YOUR_EMBEDDINGS")
        parts += ["--exposure-embeddings YOUR_OTHER_EMBEDDINGS"] if files[1] else []
    sources = dict(_SOURCES)
    if not data.get("validation_source"):
        sources["source"] = ("--data", "YOUR_DATA")
    for key, (option, place) in sources.items():
        if (source := data.pop(key, None)) is not None:
            parts.append(f"{option} {shlex.quote(str(source)) if paths else place}")
    told = [f"--condition {_word(str(column))}" for column in data.pop("condition", ())]
    if command == "audit":
        parts += told
        for key in _AUDIT:
            value = audit.pop(key, None)
            parts += [] if value is None else [f"--{key} {_word(str(value))}"]
        parts += [f"--quality {_word(str(name))}" for name in audit.pop("quality", ())]
        weights = audit.pop("weights", None)
        place = shlex.quote(str(weights)) if paths else "YOUR_WEIGHTS"
        parts += [f"--weights {place}"] if weights else []
        parts += [] if audit.pop("exposure", True) else ["--no-exposure"]
        parts += _sets({"audit": audit, "data": data}, recipe, paths)
    else:
        parts += _sets({"data": data}, {}, paths)
    parts += [] if policy.is_default else ["--policy YOUR_POLICY"]
    return SEPARATOR.join(parts)


def _sets(tables: Mapping[str, Any], recipe: Mapping[str, Any], paths: bool = False) -> list[str]:
    """Return tables of settings, and those of a recipe's components, as options `--set`.

    A recipe may come from a stranger, and a reader types what stands here: what is no key of a
    setting is left out, and a value is one word to a shell.
    """
    data = dict(tables["data"])
    if data.get("patient_pattern") and not paths:  # may hold a name
        data["patient_pattern"] = "/"
    given = recipe.get("settings") or {}
    others = {key: value for key, value in given.items() if key not in _TABLES}
    word = shlex.quote if paths else _word
    return [
        f"--set {key}={word(text.replace(', ', ','))}"
        for key, text in flatten({**tables, "data": data, **others})
        if all(KEY.fullmatch(part) for part in key.split("."))
    ]


def _option(text: str) -> str:
    return shlex.quote(text) if _WORD.fullmatch(text) else "..."


def _word(text: str) -> str:
    odd = not text.isprintable() or len(text) > 1000
    return "..." if odd or names_something(text) else shlex.quote(text)
