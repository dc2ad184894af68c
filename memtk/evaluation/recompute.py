"""Protocols applied to finished runs, from their arrays: nothing is trained or searched anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memtk.errors import UserError
from memtk.evaluation.calibration import Calibration, Patients
from memtk.evaluation.evaluate import evidence_of, tests_of
from memtk.evaluation.planted import MIXED, PlantedSimilarity
from memtk.evaluation.protocols import apply_protocols, named_protocols, used_protocols
from memtk.interfaces import Levels, Similarities
from memtk.memorization import p_values
from memtk.noise import derive
from memtk.registry import Entry
from memtk.results import (
    Audit,
    Checkpoint,
    Counts,
    Evidence,
    Result,
    SelfTest,
    Tables,
    Used,
    has_arrays,
    read_arrays,
    read_audit,
    read_result,
    write_audit,
    write_result,
)
from memtk.results.validate import ARRAYS, find_results

AUDIT = "audit.json"
"""The result of an audit, whose arrays are the group "audit"."""


@dataclass(frozen=True)
class Recomputed:
    """What protocols say of one set of synthetic images.

    Args:
        path: the result file.
        label: of the set: "step-000900", "chosen", "audit".
        tables: by protocol.
    """

    path: Path
    label: str
    tables: Tables


def recompute(run: Path, protocols: Sequence[Entry], *, write: bool = True) -> list[Recomputed]:
    """Apply protocols to all that was evaluated in a run, and put the tables into its result files.

    The levels are those of the run. What passed or failed stays as it was: no protocol decides it.

    Args:
        run: folder of a bench or an audit, a result.json, or a folder with some below.
        protocols: their tables replace those of the same name; others stay.
        write: False leaves the files as they are.

    Raises:
        UserError: if there is no result, arrays are missing, patients are not told apart in them,
            or a protocol fails. Nothing is written then.
    """
    changed: list[tuple[Path, Result | Audit]] = []
    found: list[Recomputed] = []
    if (Path(run) / AUDIT).exists():
        path = Path(run) / AUDIT
        audit = read_audit(path)
        tables = _apply(path, "audit", protocols, audit.evidence, audit.counts)
        found.append(Recomputed(path, "audit", tables))
        update = {
            "protocols": audit.protocols | tables,
            "applied": _used(audit.applied, protocols),
        }
        changed.append((path, audit.model_copy(update=update)))
    else:
        for path in find_results(Path(run)):
            result = read_result(path)
            sets = dict(_checkpoints(path, result, protocols))
            found += [Recomputed(path, label, tables) for label, tables in sets.items()]
            changed.append((path, _with(result, sets, protocols)))
    for path, record in changed if write else ():
        if isinstance(record, Audit):
            write_audit(path, record)
        else:
            write_result(path, record)
    return found


def evidence_again(result: Result, arrays: Mapping[str, np.ndarray]) -> Evidence:
    """Return what a verdict rests on, from the arrays of the last checkpoint of a cell alone.

    No search is repeated, nor what was planted. The draws are those of the run.

    Raises:
        KeyError, ValueError, ...: where the arrays are of another make.
    """
    stated, label = result.last.evidence, result.last.label
    levels = Levels(stated.alpha, stated.fdr, stated.confidence or Levels().confidence)
    calibration = _calibration(result, arrays)
    tests = tests_of(arrays, calibration, levels)
    seed = derive(result.seed, "intervals", result.cell, label)
    return evidence_of(tests, arrays, calibration, levels, seed)


def sensitivity_again(result: Result, arrays: Mapping[str, np.ndarray]) -> int | None:
    """Return how many planted copies have a p-value up to alpha; None where none are kept."""
    if "planted" not in arrays:
        return None
    patients = _calibration(result, arrays).patients.validation
    p = p_values(arrays["planted"], arrays["validation_train"], patients)
    return int((p <= result.last.evidence.alpha).sum())


def _calibration(result: Result, arrays: Mapping[str, np.ndarray]) -> Calibration:
    def people(name: str) -> tuple[int, ...]:
        return tuple(arrays[name].tolist()) if name in arrays else ()

    patients = Patients(people("training_patient"), people("validation_patient"))
    seed, planted = derive(result.seed, "detectable rate"), None
    near = arrays.get("planted", _stated(result.selftest))
    if near is not None:
        index = np.arange(len(near))
        planted = PlantedSimilarity(index, {MIXED: (near, index)})
    similarity: Any = None  # nothing is compared
    return Calibration(similarity, patients, dict(arrays), planted, seed)


def _stated(selftest: SelfTest | None) -> np.ndarray | None:
    """Return planted copies that are noticed as a file states, of which older arrays hold none."""
    if selftest is None:
        return None
    noticed = selftest.sensitivity.conformal
    return np.where(np.arange(noticed.n) < noticed.count, np.inf, -np.inf)


def _checkpoints(
    path: Path, result: Result, protocols: Sequence[Entry]
) -> Iterator[tuple[str, Tables]]:
    counts = result.data.counts | {"training": result.used_training}
    for checkpoint in result.evaluated:
        yield (
            checkpoint.label,
            _apply(path, checkpoint.label, protocols, checkpoint.evidence, counts),
        )


def _apply(
    path: Path,
    label: str,
    protocols: Sequence[Entry],
    evidence: Evidence,
    counts: Mapping[str, Counts],
) -> Tables:
    arrays = path.with_name(ARRAYS)
    if not has_arrays(arrays, label):
        raise UserError(
            f"{arrays} has no arrays of {label}, and without them nothing can be recomputed: "
            "repeat the cell with `memtk results rerun FILE`, or run its command again"
        )
    kept = read_arrays(arrays, label)
    for name in ("training", "validation"):
        if counts[name].patients < counts[name].images and f"{name}_patient" not in kept:
            raise UserError(
                f"{arrays} does not say whose the {name} images are (an older memtk wrote it), and "
                f"{counts[name].images} images are of {counts[name].patients} patients: run its "
                "command again into another folder"
            )
    try:
        similarities = Similarities.of_arrays(kept)
    except KeyError as error:
        raise UserError(f"{arrays} has no {error.args[0]} in {label}: it is damaged") from error
    levels = Levels(evidence.alpha, evidence.fdr, evidence.confidence or Levels().confidence)
    tables, _ = apply_protocols(protocols, _read_only(similarities), levels)
    for name, table in tables.items():
        if "failed" in table:
            raise UserError(f"protocol {name} failed on {label} of {path}: {table['failed'].note}")
    return tables


def _read_only(similarities: Similarities) -> Similarities:
    """Keep a protocol from changing what the next one reads."""
    for value in vars(similarities).values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return similarities


def _with(result: Result, sets: Mapping[str, Tables], protocols: Sequence[Entry]) -> Result:
    def changed(checkpoint: Checkpoint) -> Checkpoint:
        tables = checkpoint.protocols | sets[checkpoint.label]
        return checkpoint.model_copy(update={"protocols": tables})

    components = result.components
    return result.model_copy(
        update={
            "checkpoints": [changed(each) for each in result.checkpoints],
            "chosen": changed(result.chosen) if result.chosen else None,
            "components": components.model_copy(
                update={"protocols": _used(components.protocols, protocols)}
            ),
        }
    )


def _used(before: Sequence[Used], protocols: Sequence[Entry]) -> list[Used]:
    """Return the protocols with those that were applied now in place of others of their name."""
    now = dict(zip(named_protocols(protocols), used_protocols(protocols), strict=True))
    return [used for used in before if used.name not in now] + list(now.values())
