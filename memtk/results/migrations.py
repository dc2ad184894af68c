"""Old files stay readable: what each version of the schema changed, as functions of dicts."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

SCHEMA = 3
"""Version of the result files. An older one is read; a newer one is refused, never half
understood."""

Tree = dict[str, Any]
"""A file as JSON reads it."""

Step = Callable[[Tree], Tree]
"""From a tree of one version to the same of the next; its argument stays as it is."""


def from_1(tree: Tree) -> Tree:
    """Tell patients with a test of their own from patients with a flagged image.

    In the first files of version 1 `patients_exposed` counted the patients with a flagged image;
    later ones have a count of their own for these. The test of patients was not run then.
    """
    tree = copy.deepcopy(tree)
    for found in _conformal(tree):
        if "patients_with_flagged_images" not in found and "patients_exposed" in found:
            found["patients_with_flagged_images"] = found["patients_exposed"]
            found["patients_exposed"] = None
    return tree


def from_2(tree: Tree) -> Tree:
    """Give every protocol a table of measures, the verdict its evidence, and other names to fields.

    What an older file says of the three protocols of its memtk becomes the tables that these give
    now, and what the verdict rests on a record of its own. A file that lacks any of it, or has it
    in another shape, is left as it is there: whoever reads it says what is wrong.
    """
    tree = copy.deepcopy(tree)
    counts = _table(_table(tree, "data"), "counts") or _table(tree, "counts")
    training = _table(tree, "used_training") or _table(counts, "training")
    synthetic = _table(counts, "synthetic").get("images")
    for holder in [tree, tree.get("chosen"), *_list(tree, "checkpoints")]:
        if isinstance(holder, dict) and "protocols" in holder:
            total = holder.get("n_synthetic", synthetic)
            with suppress(ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
                holder |= _tables(
                    holder["protocols"], training, total, _table(counts, "validation")["images"]
                )
        if isinstance(holder, dict):
            _rename(holder, {"measured": "measure_info", "anew": "reevaluated"})
    _rename(
        tree,
        {
            "asked": "request",
            "embedder_saw": "embedder_trained_on",
            "extractor_saw": "extractor_trained_on",
            "deeds": "mitigation_effects",
            "trainings": "training_stages",
        },
    )
    for attack in _table(tree, "membership").values():
        _rename(attack, {"few_alarms": "tpr_at_fpr"})
        _rename(_table(attack, "tpr_at_fpr"), {"asked": "requested"})
    if isinstance(tree.get("policy"), dict):  # no policy asked for it
        tree["policy"].setdefault("max_unseen_patients", None)
    selftest = _table(tree, "selftest")
    for found in [
        _table(selftest, "sensitivity"),
        *(_table(plant, "found") for plant in _list(selftest, "plants")),
    ]:
        _rename(found, {"finest": "min_p"})
    return tree


def _list(tree: Tree, key: str) -> list[Any]:
    found = tree.get(key)
    return found if isinstance(found, list) else []


def _tables(protocols: Tree, training: Tree, synthetic: Any, validation: int) -> Tree:
    """Return the evidence, and the tables of the three protocols, in the words of schema 3."""
    dar, matched, test = (protocols[name] for name in ("dar", "dar_matched", "conformal"))
    n, called = training["images"], dar["validation_called_copies"]
    alpha, coarse = f"{test['alpha']:g}", test["finest_p"] > test["alpha"]
    dar_table = {
        "n_mem": _measure(
            dar["mem_fraction"],
            "memorized, n_mem / N",
            "training",
            (dar["n_mem"], n),
            null=dar["expected_mem_fraction"],
        ),
        "n_copies": _measure(
            dar["copy_fraction"],
            "copies, n_copies / M",
            "synthetic",
            (dar["n_copies"], synthetic),
            null=called / validation,
        ),
        "validation_called_copies": _measure(
            called / validation,
            "validation images called copies",
            "validation",
            (called, validation),
        ),
        "tau": _measure(dar["tau"], "threshold tau", "") | {"better": ""},
    }
    matched_table = {
        "n_mem": _measure(
            matched["mem_fraction"],
            "memorized at equal sizes",
            "training",
            (matched["n_mem"], n),
            null=0.05,
            note=matched.get("reason", ""),
        )
    }
    flagged, near = {}, {}
    for key, count, title, side, total in (
        ("copies", "n_copies", "copies flagged", "synthetic", synthetic),
        ("exposed", "n_mem", "training images flagged", "training", n),
    ):
        if test.get(count) is None:
            continue
        able = math.ceil(total * test["finest_p"] / test["fdr"] * (1 - 1e-12)) <= total
        note = "" if able else "None could have been flagged."
        flagged[count] = _measure(test[count] / total, title, side, (test[count], total), note=note)
        share = test[f"{key}_flagged_fraction"]
        near[key] = _measure(
            share,
            f"{side} images, p <= {alpha}",
            side,
            (round(share * total), total),
            null=test[f"{key}_expected_fraction"],
            note=f"No p-value can be as small as {alpha}." if coarse else "",
        )
    if test.get("patients_exposed") is not None:
        exposed, patients = test["patients_exposed"], training["patients"]
        unable = test.get("patients_can_reject") is False
        flagged["patients_exposed"] = _measure(
            exposed / patients,
            "exposed patients",
            "training",
            (exposed, patients),
            note="None could have been flagged." if unable else "",
        )
    tables = {"conformal": flagged | near, "dar": dar_table, "dar-matched": matched_table}
    evidence = {key: value for key, value in test.items() if not key.endswith("_fraction")}
    _rename(
        evidence,
        {
            "finest_p": "min_p",
            "patients_fewest": "min_detectable_patients",
            "minimum_detectable_copy_rate": "min_detectable_copy_rate",
        },
    )
    evidence |= {
        "tau": dar["tau"],
        "reference_n_mem": dar["n_mem"],
        "reference_null": dar["expected_mem_fraction"],
    }
    return {"protocols": tables, "evidence": evidence}


def _measure(
    value: float | None,
    title: str,
    side: str,
    count: tuple[float | None, int | None] = (None, None),
    *,
    null: float | None = None,
    note: str = "",
) -> Tree:
    return {
        "value": value,
        "title": title,
        "side": side,
        "count": count[0],
        "of": count[1],
        "null": null,
        "note": note,
    }


def _table(tree: Any, key: str) -> Tree:
    """Return what stands under a key, if it is a table."""
    found = tree.get(key) if isinstance(tree, dict) else None
    return found if isinstance(found, dict) else {}


def _rename(table: Any, names: Mapping[str, str]) -> None:
    """Give fields other names, in place."""
    if isinstance(table, dict):
        for old in names.keys() & table.keys():
            table[names[old]] = table.pop(old)


MIGRATIONS: Mapping[int, Step] = MappingProxyType({1: from_1, 2: from_2})
"""By the version that a step leads away from."""


def migrate(tree: Tree, *, steps: Mapping[int, Step] = MIGRATIONS, newest: int = SCHEMA) -> Tree:
    """Return a file's tree as the newest version would have written it.

    A file without a version, or of a newer or unknown one, is returned as it is: whoever reads it
    says what is wrong.

    >>> migrate({"schema_version": 1, "seed": 3}, steps={1: lambda tree: tree | {"new": None}},
    ...         newest=2)
    {'schema_version': 2, 'seed': 3, 'new': None}
    """
    version = tree.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool):
        return tree
    while version in steps and version < newest:
        tree = steps[version](tree)
        version += 1
        tree = tree | {"schema_version": version}
    return tree


def _conformal(tree: Tree) -> Iterator[Tree]:
    """Return the conformal tables of a result or an audit, whatever else is wrong with it."""
    checkpoints = tree.get("checkpoints")
    for holder in [tree, *(checkpoints if isinstance(checkpoints, list) else [])]:
        protocols = holder.get("protocols") if isinstance(holder, dict) else None
        found = protocols.get("conformal") if isinstance(protocols, dict) else None
        if isinstance(found, dict):
            yield found
