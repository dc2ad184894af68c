"""Each case of docs/reference/formats.md is what the page says it is."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from foreign.formats import CASES

from memtk.data.readers import Readers
from memtk.errors import UserError

MODULES = {"imagecodecs": "imagecodecs", "hdf5plugin": "hdf5plugin"}
"""What the packages that bring decoders are imported as; else `libjpeg` or `openjpeg`."""


def brought(install):
    name = MODULES.get(install) or install.rpartition("-")[2]
    return bool(install) and importlib.util.find_spec(name) is not None


def outcome(path, readers):
    """The voxels of the first image, or the sentence that refuses it or leaves it out."""
    try:
        records = readers.records(path)
        if records[0].left_out:
            return f"{path}: left out: {records[0].left_out}"
        return readers.read(records[0]).voxels
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("case", CASES.values(), ids=lambda c: f"{c.format}: {c.what}")
def test_a_file_is_read_or_refused_as_the_page_says(case, registry, tmp_path):
    if brought(case.install):
        pytest.skip(f"{case.install} is installed")
    path = case.write(tmp_path)
    found = outcome(path, Readers(registry))
    if isinstance(case.says, str):
        assert isinstance(found, str) and case.says in found, found
        assert len(found.splitlines()) <= 2 and (tmp_path.name in found or len(found) < 60)
    else:
        assert not isinstance(found, str), found
        assert found.shape == case.says.shape
        off = np.abs(found.astype(float) - case.says.astype(float))
        assert off.max() <= 1e-4 if not case.near else off.mean() <= case.near
