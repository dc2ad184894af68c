"""Repeats a cell from its result file alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from memtk.bench.plan import Plan, make_plan
from memtk.bench.recipe import Recipe
from memtk.bench.run import run_bench
from memtk.config import build, flat, merge, parse_set
from memtk.data.config import is_name
from memtk.data.prepare import prepare
from memtk.errors import UserError
from memtk.events import Watch, ignore
from memtk.folders import claim
from memtk.registry import Registry
from memtk.results import Result, Used
from memtk.results.redact import HIDDEN, names_something


def recipe_of(result: Result, *, data: str | None = None, sets: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a cell: what was asked, and the whole settings of every component.

    Args:
        data: the images, where the result is on somebody's own.
        sets: texts KEY=VALUE for what the file hides.

    Raises:
        UserError: for a file that does not hold enough, naming what is missing and how to give it.
    """
    if result.request is None:
        raise UserError(
            f"this result of memtk {result.memtk_version} does not say how many checkpoints and "
            "samples were asked for, so it cannot be repeated from the file alone.\n"
            "Run its memtk bench command again: `memtk results show FILE` says with what."
        )
    own = not is_name(str(result.request.get("data", {}).get("source")))
    if own and data is None:
        raise UserError(
            f"this result is on images of its own ({result.data.source}, fingerprint "
            f"{result.data.fingerprint}): say where they lie with --data PATH"
        )
    if not own and data is not None:
        raise UserError(
            f"this result is on {result.data.source}, which needs no path: leave out --data"
        )
    tables: dict[str, Any] = {
        "bench": result.request.get("bench", {}),
        "data": {k: v for k, v in result.request.get("data", {}).items() if k != "source"},
        **_settings(result),
    }
    tables = _filled(tables, sets)
    bench, images = tables.pop("bench"), tables.pop("data")
    if "attack" in bench:  # of one alone that cannot be attacked so, a bench would refuse it
        skipped = _not_run(result)
        ran = [name for name in bench["attack"] if name.rpartition("/")[2] not in skipped]
        bench = bench | {"attack": ran}
    images = images | {"source": data if own else result.request["data"]["source"]}
    suite = result.suite.model_dump() if result.suite else None
    return build(Recipe, {"suite": suite, "bench": bench, "data": images, "settings": tables})


def plan_of(
    result: Result, registry: Registry, *, data: str | None = None, sets: Sequence[str] = ()
) -> Plan:
    """Return the plan of a cell; see `recipe_of`.

    Raises:
        UserError: also if a component is not installed, naming its package and version.
    """
    for kind, used in result.components.used():
        try:
            registry.find(kind, f"{used.plugin}/{used.name}")
        except UserError as error:
            raise UserError(
                f"{error}\nThe result was made with {kind} {used.name!r} of the package "
                f"{used.distribution} {used.version}: pip install {used.distribution}"
            ) from error
    # The file holds the settings as the mitigations adjusted them: they must not be so twice.
    return make_plan(recipe_of(result, data=data, sets=sets), registry, adjust=False)


def reproduce(
    result: Result,
    registry: Registry,
    *,
    out: Path,
    data: str | None = None,
    sets: Sequence[str] = (),
    device: str = "auto",
    watch: Watch = ignore,
) -> Result | None:
    """Repeat a cell and return what came of it; None on all processes but the first.

    Raises:
        UserError: for what `plan_of` refuses, and for images that are not those of the result.
    """
    plan = plan_of(result, registry, data=data, sets=sets)
    if not plan.data.is_phantom:
        claim(out)
        found = prepare(plan.data, out / "data", registry, watch).fingerprint
        if found != result.data.fingerprint:
            raise UserError(
                f"these are not the images of the result: their fingerprint is {found}, and "
                f"{result.data.fingerprint} was judged.\nIt covers the files' contents, the "
                "patients, the splits and what is done to the voxels."
            )
    run = run_bench(plan, registry, out=out, device=device, watch=watch)
    return run.results[0] if run else None


def changed_packages(result: Result, repeated: Result) -> list[str]:
    """Return what differs in versions and device, a sentence each."""
    found = []
    pairs = [("memtk", result.memtk_version, repeated.memtk_version)]
    pairs += [
        (name, result.versions.get(name, "none"), repeated.versions.get(name, "none"))
        for name in sorted({*result.versions, *repeated.versions})
    ]
    pairs.append(("device", result.device.name, repeated.device.name))
    pairs.append(("fingerprint", result.data.fingerprint, repeated.data.fingerprint))
    for name, then, now in pairs:
        if then != now:
            found.append(f"{name} was {then}, is {now}")
    return found


def _not_run(result: Result) -> set[str]:
    """Return the attacks that found nothing in the generator to look at."""
    return {name for name, found in result.membership.items() if found.auc is None}


def _settings(result: Result) -> dict[str, Any]:
    """Return the configuration of every component by the table that it is set with."""
    parts = result.components
    tables: dict[str, Used | None] = {
        field: getattr(parts, field) for field in ("generator", "embedder", "extractor")
    }
    attacks = [used for used in parts.attacks if used.name not in _not_run(result)]
    others = (parts.similarity, *parts.mitigations, *parts.quality, *attacks)
    tables |= {used.name: used for used in others if used.name not in ("bench", "data")}
    return {table: used.config for table, used in tables.items() if used and used.config}


def _filled(tables: Mapping[str, Any], sets: Sequence[str]) -> dict[str, Any]:
    """Put in what the file hides or opens; refuse to change anything else.

    The file is a stranger's: no path of its own is opened, on a machine that it does not know.
    """
    hidden = {
        key
        for key, value in flat(tables)
        if value == HIDDEN or (not key.startswith("bench.") and _may_be_a_place(key, value))
    }
    given: dict[str, Any] = {}
    for text in sets:
        key = text.partition("=")[0].strip()
        if key not in hidden:
            raise UserError(
                f"--set {text}: a repetition changes nothing; only what the file hides can be "
                f"given: {', '.join(sorted(hidden)) or 'nothing is hidden'}"
            )
        hidden.discard(key)
        given = merge(given, parse_set(text))
    if hidden:
        keys = " ".join(f"--set {key}=..." for key in sorted(hidden))
        raise UserError(f"the file does not say where something lies here: say {keys}")
    return merge(tables, given)


def _may_be_a_place(key: str, value: Any) -> bool:
    """Tell whether a setting could be a file or folder that is opened."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(_may_be_a_place(key, each) for each in value)
    if not isinstance(value, str) or not value:
        return False
    if key == "data.patient_pattern" or (key.startswith("data.") and is_name(value)):
        return False
    with suppress(OSError, ValueError):
        return names_something(value) or os.path.lexists(value)
    return True
