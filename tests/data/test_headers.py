import numpy as np

from memtk.data.headers import Headers
from memtk.interfaces import Volume


def volume(spacing, affine=None):
    return Volume(np.zeros((1, 2, 2, 2)), spacing, affine)


def test_one_voxel_size_is_kept_and_different_ones_are_said():
    headers = Headers()
    headers.add(volume((1, 1, 2)), volume((1, 1, 2)))
    headers.add(volume((1, 1, 2)), volume((1.001, 1, 2)))
    assert headers.spacing() == (1.0005, 1, 2) and headers.notes(kept=True) == []
    headers.add(volume((1, 1, 3)), volume((1, 1, 3)))
    assert headers.spacing() == ()
    assert "from 1 to 3 mm" in headers.notes(kept=True)[0]


def test_different_orientations_are_said_where_they_are_kept():
    headers = Headers()
    for signs in ([1, 1, 1, 1], [-1, 1, 1, 1], [-1, 1, 1, 1]):
        one = volume((1, 1, 1), np.diag(signs).astype(float))
        headers.add(one, one)
    (text,) = headers.notes(kept=True)
    assert "2 LAS, 1 RAS" in text and "data.orientation=ras" in text
    assert headers.notes(kept=False) == []
