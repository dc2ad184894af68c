"""All checks, by the kind of component; each is a function of a `Case`."""

from __future__ import annotations

from collections.abc import Callable

from memtk.component import KINDS
from memtk.errors import UserError, did_you_mean
from memtk.testing.attacks import ATTACK
from memtk.testing.case import Case
from memtk.testing.embedders import EMBEDDER
from memtk.testing.generators import GENERATOR
from memtk.testing.mitigations import MITIGATION
from memtk.testing.quality import QUALITY
from memtk.testing.readers import READER
from memtk.testing.registration import REGISTRATION
from memtk.testing.sections import REPORT
from memtk.testing.similarities import SIMILARITY

Check = Callable[[Case], None]

CHECKS: dict[str, tuple[Check, ...]] = {
    "generator": (*REGISTRATION, *GENERATOR),
    "embedder": (*REGISTRATION, *EMBEDDER),
    "similarity": (*REGISTRATION, *SIMILARITY),
    "mitigation": (*REGISTRATION, *MITIGATION),
    "reader": (*REGISTRATION, *READER),
    "quality": (*REGISTRATION, *QUALITY),
    "attack": (*REGISTRATION, *ATTACK),
    "report": (*REGISTRATION, *REPORT),
}
"""The checks of each kind, in the order in which they are run: what others rest on comes first."""

assert CHECKS.keys() == KINDS.keys()


def name_of(check: Check) -> str:
    """Return the name of a check: its function's, without `check_`.

    >>> name_of(CHECKS["similarity"][-1])
    'duplicates_change_nothing'
    """
    return check.__name__.removeprefix("check_")


def checks_of(kind: str) -> dict[str, Check]:
    """Return the checks of a kind by name; none for an unknown kind but that of its class."""
    return {name_of(check): check for check in CHECKS.get(kind, REGISTRATION[:1])}


def find_check(name: str, kinds: list[str]) -> str:
    """Return the full name of a check of one of these kinds; spaces and hyphens are allowed.

    Raises:
        UserError: if there is none, with the nearest name.
    """
    wanted = name.strip().removeprefix("check_").replace("-", "_").replace(" ", "_")
    known = list(dict.fromkeys(known for kind in kinds for known in checks_of(kind)))
    if wanted in known:
        return wanted
    raise UserError(
        f"there is no check {name!r} for {', '.join(kinds)}.{did_you_mean(wanted, known)}\n"
        "See all with --list."
    )
