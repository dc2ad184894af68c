"""Old files stay readable: what each version of the schema changed, as functions of dicts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

SCHEMA = 2
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


MIGRATIONS: Mapping[int, Step] = MappingProxyType({1: from_1})
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
