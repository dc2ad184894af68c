from __future__ import annotations

import pytest
import torch

from memtk.errors import UserError
from memtk.testing import check_similarity


def test_a_sound_similarity_passes(sound_similarity):
    check_similarity(sound_similarity)


def test_a_similarity_that_refuses_constant_rows_passes(sound_similarity):
    class Strict(sound_similarity):
        def prepare(self, rows):
            for index, row in enumerate(rows):
                if (row == row[0]).all():
                    raise UserError(f"row {index} is constant")
            return super().prepare(rows)

    check_similarity(Strict)


def distance(q, r):
    return -(q[:, None] - r[None]).square().sum(-1)


BROKEN = {
    "compare float64": (
        {"compare": lambda self, q, r: (q @ r.T).double()},
        "compare makes torch.float64 of torch.float32",
    ),
    "transposed": (
        {"compare": lambda self, q, r: r @ q.T},
        "compare gives the shape (8, 3), expected (3, 8)",
    ),
    "flat": ({"prepare": lambda self, rows: rows.sum(1)}, "prepare gives the shape (8,)"),
    "distance": (
        {"compare": lambda self, q, r: torch.cdist(q, r)},
        "larger must mean more alike",
    ),
    "ties": (
        {"compare": lambda self, q, r: torch.ones(len(q), len(r), dtype=q.dtype)},
        "another row is as like a row as the row itself",
    ),
    "overconfident": (
        {"rounding": lambda self, q, r: -1.0},
        "that its rounding says",
    ),
    "pairs shape": (
        {"pairs": lambda self, q, r: (q * r).sum()},
        "pairs gives the shape (), expected (8,)",
    ),
    "pairs bits": (
        {"pairs": lambda self, q, r: distance(q, r).diagonal() * (1 + 1e-15 * len(q))},
        "gives a row other bits when it is computed alone",
    ),
}


@pytest.mark.parametrize("way", BROKEN)
def test_an_unsound_similarity_is_told(sound_similarity, complaint, way):
    changes, sentence = BROKEN[way]
    text = complaint(check_similarity, type("Broken", (sound_similarity,), changes))
    assert "Broken" in text and sentence in text
