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


def correlate(rows):
    rows = rows - rows.mean(1, keepdim=True)
    return rows / rows.norm(dim=1, keepdim=True)


def distance(q, r):
    return -(q[:, None] - r[None]).square().sum(-1)


BROKEN = {
    "space": ({"space": "pixels"}, "space is 'pixels', not 'embedding' or 'image'"),
    "float32": (
        {"prepare": lambda self, rows: rows.float()},
        "prepare makes torch.float32 of torch.float64",
    ),
    "compare float64": (
        {"compare": lambda self, q, r: (q @ r.T).double()},
        "compare makes torch.float64 of torch.float32",
    ),
    "transposed": (
        {"compare": lambda self, q, r: r @ q.T},
        "compare gives the shape (8, 3), expected (3, 8)",
    ),
    "flat": ({"prepare": lambda self, rows: rows.sum(1)}, "prepare gives the shape (8,)"),
    "set mean": (
        {"prepare": lambda self, rows: rows - rows.mean(0)},
        "prepare makes another row of it alone",
    ),
    "tile": (
        {"compare": lambda self, q, r: q @ r.T - (q @ r.T).mean()},
        "compare gives other values in tiles than for the whole",
    ),
    "distance": (
        {"compare": lambda self, q, r: torch.cdist(q, r)},
        "larger must mean more alike",
    ),
    "ties": (
        {"compare": lambda self, q, r: torch.ones(len(q), len(r), dtype=q.dtype)},
        "another row is as like a row as the row itself",
    ),
    "nan": (
        {
            "prepare": lambda self, rows: correlate(rows),
            "compare": lambda self, q, r: q @ r.T,
            "pairs": None,
        },
        "gives a value that is not finite for a constant row",
    ),
    "rough": (
        {"compare": lambda self, q, r: distance(q, r) * (1 + 1e-3 * (q.dtype == torch.float32))},
        "in float32, more than the",
    ),
    "overconfident": (
        {"rounding": lambda self, q, r: -1.0},
        "that its rounding says",
    ),
    "pairs": (
        {"pairs": lambda self, q, r: (q * r).sum(1)},
        "off what compare gives",
    ),
    "pairs shape": (
        {"pairs": lambda self, q, r: (q * r).sum()},
        "pairs gives the shape (), expected (8,)",
    ),
    "pairs bits": (
        {"pairs": lambda self, q, r: distance(q, r).diagonal() * (1 + 1e-15 * len(q))},
        "gives a row other bits when it is computed alone",
    ),
    "never finite": (
        {"compare": lambda self, q, r: q @ r.T / 0},
        "compare gives values that are not finite",
    ),
    "random": (
        {"compare": lambda self, q, r: q @ r.T + torch.rand((), dtype=q.dtype)},
        "draws from the global generator of torch",
    ),
}


@pytest.mark.parametrize("way", BROKEN)
def test_an_unsound_similarity_is_told(sound_similarity, complaint, way):
    changes, sentence = BROKEN[way]
    text = complaint(check_similarity, type("Broken", (sound_similarity,), changes))
    assert "Broken" in text and sentence in text
