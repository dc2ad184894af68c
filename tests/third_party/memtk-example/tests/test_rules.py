"""Every component keeps the rules of memtk."""

from __future__ import annotations

import pytest
from memtk_example.gaussian import Gaussian
from memtk_example.grain import Grain
from memtk_example.manhattan import Manhattan
from memtk_example.pgm import PgmReader
from memtk_example.thumbnail import Thumbnail

from memtk.interfaces import ImageSpec
from memtk.testing import (
    check_embedder,
    check_generator,
    check_mitigation,
    check_reader,
    check_similarity,
)

SPECS = [ImageSpec((16, 16)), ImageSpec((8, 8, 8), channels=2)]


@pytest.mark.parametrize("spec", SPECS)
def test_components_that_see_images_keep_the_rules(spec):
    check_generator(Gaussian, spec=spec)
    check_generator(Gaussian, {"temperature": 0.5}, spec)
    check_embedder(Thumbnail, spec=spec)
    check_mitigation(Grain, spec=spec, whole_patients=True)


def test_the_similarity_keeps_the_rules():
    check_similarity(Manhattan)


def test_the_reader_keeps_the_rules(tmp_path):
    path = tmp_path / "a.pgm"
    path.write_text("P2\n3 2\n255\n0 1 2\n3 4 5\n")
    check_reader(PgmReader, path)
    assert PgmReader().read(PgmReader().records(path)[0]).voxels.tolist() == [
        [[0, 1, 2], [3, 4, 5]]
    ]
