"""Finished runs evaluated anew from their arrays: nothing is trained or searched again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from memtk.errors import UserError, many, one_line
from memtk.evaluation.evaluate import apply_protocols, named_protocols
from memtk.evaluation.provenance import used
from memtk.evaluation.rates import agreeing
from memtk.evaluation.sides import ALL_FOUND, Groups, identical_training
from memtk.evaluation.statistics import Tests, evidence_of, tests_of
from memtk.interfaces import Levels, Similarities
from memtk.memorization import (
    Exchangeability,
    PatientGroup,
    Share,
    copy_rate,
    p_values,
    share,
    specificity,
)
from memtk.noise import derive
from memtk.registry import Entry
from memtk.results import (
    Audit,
    Checkpoint,
    Counts,
    Evidence,
    RateInterval,
    Result,
    SelfTest,
    Tables,
    Used,
    decide,
    has_arrays,
    read_arrays,
    read_audit,
    read_result,
    write_arrays,
    write_audit,
    write_result,
)
from memtk.results.run import find_results
from memtk.results.validate import ARRAYS

AUDIT = "audit.json"
"""The result of an audit, whose arrays are the group "audit"."""

NO_NUMBERS = (UserError, ArithmeticError, LookupError, TypeError, ValueError, MemoryError)
"""What arrays of another make lead to."""


@dataclass(frozen=True)
class Recomputed:
    """What protocols say of one set of synthetic images.

    Args:
        label: of the set: "step-000900", "chosen", "audit".
        evidence: what the verdict rests on; None where it was not asked for anew.
        arrays: of the set, with what is flagged now; likewise.
    """

    path: Path
    label: str
    tables: Tables
    evidence: Evidence | None = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


Readers = Callable[[Path, str], Mapping[str, np.ndarray]]
"""Of a result file and the label of a set: what readers say of it, as `Groups.readers` takes it;
empty: the copy rate rests on planted copies."""


def recompute(
    run: Path,
    protocols: Sequence[Entry],
    *,
    evidence: bool = False,
    readers: Readers | None = None,
    write: bool = True,
) -> list[Recomputed]:
    """Evaluate all synthetic sets of a run anew, and put what is found into its result files.

    The levels are those of the run. No protocol decides what passes or fails.

    Args:
        run: folder of a bench or an audit, a result.json, or a folder with some below.
        protocols: their tables replace those of the same name; others stay.
        evidence: test and bound by the rules of this version too, and let an audit's policy decide
            again. What an older memtk did not keep stays as it was, or is said to be unknown: the
            copy rate rests on the planted copies' similarities, and the upper end of the exposed
            patients on those of the images that were planted.
        readers: where the sensitivity comes from that the copy rate is corrected by, if the
            evidence is asked for; None: from where it came before.
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
        seeds = derive(audit.seed, "tail"), derive(audit.seed, "intervals")
        case = _Set(path, "audit", audit.evidence, audit.counts, seeds, audit.selftest)
        found.append(case.again(protocols, evidence, readers))
        changed.append((path, _audit_with(audit, found[0], protocols)))
    else:
        for path in find_results(Path(run)):
            result = read_result(path)
            sets = [case.again(protocols, evidence, readers) for case in _sets(path, result)]
            found += sets
            changed.append((path, _with(result, {each.label: each for each in sets}, protocols)))
    for each in found if write else ():
        if each.evidence is not None:
            write_arrays(each.path.with_name(ARRAYS), each.label, each.arrays)
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
    stated, seeds = result.last.evidence, _seeds(result, result.last.label)
    groups, levels = _groups(stated, arrays), _levels(stated)
    tests = tests_of(groups, levels, seeds[0])
    found = evidence_of(tests, groups, levels, seeds[1])
    if stated.threshold is not None or "planted" in arrays:
        return found
    return _by_alpha(found, tests, groups, stated, seeds[1], result.selftest)


def selftest_again(result: Result, arrays: Mapping[str, np.ndarray]) -> dict[str, Share]:
    """Return how many planted copies each rule finds, and how many strangers it spares.

    By "planted copies, RULE" where planted copies are kept, and "strangers, RULE" where these are
    the validation patients. Within strata the rules that need the stratum of the training image
    nearest to a copy are left out: it is not kept.
    """
    told = result.selftest
    if told is None:
        return {}
    stated = result.last.evidence
    groups, strangers = _groups(stated, arrays), arrays["validation_train"]
    found: dict[str, Share] = {}

    def up_to_alpha(planted: np.ndarray, strangers: np.ndarray) -> Share:
        p = p_values(planted, strangers, groups.validation)
        return share(p <= stated.alpha, told.confidence)

    if "planted" in arrays:
        planted = arrays["planted"]
        found["planted copies, dar"] = share(planted > stated.tau, told.confidence)
        if groups.strata is None:
            found["planted copies, conformal"] = up_to_alpha(planted, strangers)
            found["planted copies, min_p"] = share(planted > strangers.max(), told.confidence)
    if "exposure_planted" in arrays:
        _, unseen, exposed = groups.exposure
        noticed = up_to_alpha(exposed.similarity, unseen.similarity)
        found["planted copies, exposure"] = noticed
    if told.specificity_from == "validation":
        none, other = np.zeros(0), arrays.get("exposure_validation_synthetic")
        spared = specificity(
            none,
            strangers,
            groups.validation,
            cutoff=stated.tau,
            alpha=stated.alpha,
            confidence=told.confidence,
            exposure=None if told.specificity.exposure is None or other is None else (none, other),
        )
        rules = ("dar", "conformal", "exposure") if spared else ()
        found |= {f"strangers, {r}": one for r in rules if (one := getattr(spared, r)) is not None}
    return found


def _levels(before: Evidence) -> Levels:
    return Levels(before.alpha, before.fdr, before.confidence or Levels().confidence)


def _groups(before: Evidence, arrays: Mapping[str, np.ndarray]) -> Groups:
    """Return the similarities of a set, with whose they are as the arrays say."""
    known = before.comparable.population if before.comparable else None
    return Groups(
        identical_training(arrays) | dict(arrays),
        arrays.get("training_patient", np.zeros(0)).tolist(),
        arrays.get("validation_patient", np.zeros(0)).tolist(),
        Exchangeability(known.p, known.size) if known else None,
    )


def _by_alpha(
    found: Evidence,
    tests: Tests,
    groups: Groups,
    before: Evidence,
    seed: int,
    selftest: SelfTest | None,
) -> Evidence:
    """Return the same with the copy rate of older versions, at the threshold of alpha.

    Of planted copies their arrays may hold nothing: then the self-test says how many are noticed.
    """
    planted = PatientGroup(ALL_FOUND)
    if selftest is not None:
        noticed = selftest.sensitivity.conformal
        near = np.where(np.arange(noticed.n) < noticed.count, np.inf, -np.inf)
        planted = PatientGroup(near)
    levels = _levels(before)
    rate = copy_rate(
        groups.arrays["synthetic_train"],
        groups.strangers("validation_train"),
        planted,
        alpha=levels.alpha,
        confidence=levels.confidence,
        seed=seed,
    )
    interval = RateInterval(estimate=rate.estimate, low=rate.low, high=rate.high)
    shown, doubted = tests.copies.shown, tests.copies.doubted
    update = {
        **agreeing(interval, rate.upper_bound, max(shown, doubted), shown),
        "threshold": None,
        "notes": before.notes,
    }
    return found.model_copy(update=update)


def _seeds(result: Result, label: str) -> tuple[int, int]:
    """Return the seeds of the tests and of the intervals of one set of a cell."""
    return derive(result.seed, "tail"), derive(result.seed, "intervals", result.cell, label)


def _sets(path: Path, result: Result) -> Iterator[_Set]:
    counts = result.data.counts | {"training": result.used_training}
    for checkpoint in result.evaluated:
        seeds = _seeds(result, checkpoint.label)
        yield _Set(path, checkpoint.label, checkpoint.evidence, counts, seeds, result.selftest)


@dataclass(frozen=True)
class _Set:
    """One synthetic set of a finished run.

    Args:
        before: what the verdict rested on.
        counts: images and patients by split.
        seeds: of the tests and of the intervals.
    """

    path: Path
    label: str
    before: Evidence
    counts: Mapping[str, Counts]
    seeds: tuple[int, int]
    selftest: SelfTest | None

    def again(
        self, protocols: Sequence[Entry], evidence: bool, readers: Readers | None
    ) -> Recomputed:
        """Return the tables of the protocols and, if asked for, the evidence."""
        tables = _apply(self.path, self.label, protocols, self.before, self.counts)
        if not evidence:
            return Recomputed(self.path, self.label, tables)
        arrays = _arrays(self.path, self.label, self.counts)
        if readers is not None:
            own = {name: array for name, array in arrays.items() if not name.startswith("read_")}
            arrays = own | dict(readers(self.path, self.label))
        levels = _levels(self.before)
        try:
            groups = _groups(self.before, arrays)
            tests = tests_of(groups, levels, self.seeds[0])
            found = evidence_of(tests, groups, levels, self.seeds[1])
            if "planted" not in arrays and groups.readers is None:
                found = _by_alpha(found, tests, groups, self.before, self.seeds[1], self.selftest)
        except NO_NUMBERS as error:
            what = f"{self.label} ({one_line(error)[:200]}): it is damaged, or of another run"
            raise UserError(f"{self.path.with_name(ARRAYS)} gives no numbers of {what}") from error
        if self.before.comparable and found.comparable:  # of images that are not at hand
            kept = {"likeness": self.before.comparable.likeness}
            compared = found.comparable.model_copy(update=kept)
            found = found.model_copy(update={"comparable": compared})
        return Recomputed(self.path, self.label, tables, found, {**groups.arrays, **tests.flags})


def _audit_with(audit: Audit, found: Recomputed, protocols: Sequence[Entry]) -> Audit:
    update: dict[str, Any] = {
        "protocols": audit.protocols | found.tables,
        "applied": _used(audit.applied, protocols),
    }
    if found.evidence is not None:
        said = decide(
            audit.policy,
            found.evidence,
            audit.selftest,
            audit.counts,
            identical_images=audit.identical_images,
            screened=audit.screened,
        )
        update |= {"evidence": found.evidence, "verdict": said}
    return audit.model_copy(update=update)


def _apply(
    path: Path,
    label: str,
    protocols: Sequence[Entry],
    evidence: Evidence,
    counts: Mapping[str, Counts],
) -> Tables:
    kept = _arrays(path, label, counts)
    try:
        similarities = Similarities.of_arrays(kept)
    except KeyError as error:
        raise UserError(
            f"{path.with_name(ARRAYS)} has no {error.args[0]} in {label}: it is damaged"
        ) from error
    tables, _ = apply_protocols(protocols, similarities, _levels(evidence))
    for name, table in tables.items():
        if "failed" in table:
            raise UserError(f"protocol {name} failed on {label} of {path}: {table['failed'].note}")
    return tables


def _arrays(path: Path, label: str, counts: Mapping[str, Counts]) -> dict[str, np.ndarray]:
    """Return the arrays of one set.

    Raises:
        UserError: if they are missing, or do not tell patients apart.
    """
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
                f"{many(counts[name].images, 'image', 'is/are')} of "
                f"{many(counts[name].patients, 'patient')}: run its "
                "command again into another folder"
            )
    n, v, m = counts["training"].images, counts["validation"].images, "synthetic_train"
    sizes = {"train_synthetic": n, "train_validation": n, "validation_train": v}
    for name, size in {**sizes, m: np.size(kept.get(m, 0))}.items():
        if name in kept and (shape := kept[name].shape) != (size,):
            told = f"{name} of {label} has the shape {shape}, and {size} images were compared"
            raise UserError(f"{arrays} is of another run: {told}")
    return kept


def _with(result: Result, sets: Mapping[str, Recomputed], protocols: Sequence[Entry]) -> Result:
    def changed(checkpoint: Checkpoint) -> Checkpoint:
        found = sets[checkpoint.label]
        update: dict[str, Any] = {"protocols": checkpoint.protocols | found.tables}
        if found.evidence is not None:
            update["evidence"] = found.evidence
        return checkpoint.model_copy(update=update)

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
    now = dict(zip(named_protocols(protocols), map(used, protocols), strict=True))
    return [used for used in before if used.name not in now] + list(now.values())
