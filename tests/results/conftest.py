"""Made-up results, by the numbers that matter; their factory is `memtk.testing.fakes`."""

from __future__ import annotations

import pytest

from memtk.testing import fakes


@pytest.fixture
def make_result():
    """`make_result(dar=29, copies=30, exposed=27, validation=64)`: numbers flagged, of 64."""
    return fakes.result


@pytest.fixture
def make_audit():
    """`make_audit(exposed=..., copies=..., low=..., estimate=..., bound=..., ...)`: it passes."""
    return fakes.audit
