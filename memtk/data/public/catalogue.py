"""All public data sets that memtk knows by name."""

from __future__ import annotations

from memtk.data.public.chest_xray import CHEST_XRAY
from memtk.data.public.hippocampus import HIPPOCAMPUS
from memtk.data.public.medmnist import FAMILY, find_medmnist
from memtk.data.public.mrnet import MRNET
from memtk.data.public.record import PublicSet
from memtk.errors import UserError, did_you_mean

PUBLIC = {each.name: each for each in (HIPPOCAMPUS, CHEST_XRAY, MRNET)}
"""The sets that suites are made of. MedMNIST's are found by `medmnist/NAME` beside them."""


def find_public(name: str) -> PublicSet:
    """Return a public data set by its name.

    Raises:
        UserError: if there is none of that name, or it comes with a package that is missing.
    """
    if name.startswith(FAMILY):
        return find_medmnist(name)
    if name not in PUBLIC:
        names = [*PUBLIC, f"{FAMILY}pneumoniamnist"]
        raise UserError(
            f"unknown data set {name!r}: there are {', '.join(PUBLIC)} and {FAMILY}NAME."
            f"{did_you_mean(name, names)}"
        )
    return PUBLIC[name]
