"""Ways of finding the nearest row in both directions, each as plainly as its library does it.

Each takes two sets of rows (N, D), float32, and returns the index of the nearest in the other set,
of each row of the first and of the second (None where the way gives none).
"""

from __future__ import annotations

from functools import cache

import numpy as np

TILE = (1024, 4096)
"""Of the bare product."""


def made(rows, width, seed):
    """Return random rows (N, D)."""
    return np.random.default_rng(seed).standard_normal((rows, width), dtype=np.float32)


def unit(rows):
    """Centre rows and divide them by their norms: their products are Pearson correlations."""
    rows = rows - rows.mean(1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


@cache
def pearson():
    from memtk.registry import open_registry

    return open_registry().load("similarity", "pearson")()


def memtk(queries, references, threshold=None):
    from memtk.memorization import search

    found = search(queries, references, pearson(), threshold=threshold)
    return found.queries.index, found.references.index


def memtk_counts(queries, references):
    # 4.5 standard deviations: a few of the nearest are above, as with the tau of `dar`
    return memtk(queries, references, threshold=4.5 / queries.shape[1] ** 0.5)


def bare(queries, references):
    """Multiply all tiles into one buffer, and look at nothing."""
    import torch

    q, r = torch.from_numpy(queries), torch.from_numpy(references)
    buffer = torch.empty(TILE[0] * TILE[1])
    for a in q.split(TILE[0]):
        for b in r.split(TILE[1]):
            out = buffer[: len(a) * len(b)].view(len(a), len(b))
            torch.mm(a, b.T, out=out)
    return None


def faiss_twice(queries, references):
    import faiss

    found = []
    for rows, others in ((queries, references), (references, queries)):
        index = faiss.IndexFlatIP(rows.shape[1])
        index.add(others)
        found.append(index.search(rows, 1)[1][:, 0])
    return tuple(found)


def sklearn_twice(queries, references):
    from sklearn.neighbors import NearestNeighbors

    found = []
    for rows, others in ((queries, references), (references, queries)):
        brute = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(others)
        found.append(brute.kneighbors(rows, return_distance=False)[:, 0])
    return tuple(found)


def numpy_dense(queries, references):
    matrix = queries @ references.T
    return matrix.argmax(1), matrix.argmax(0)


def torch_dense(queries, references):
    import torch

    matrix = torch.from_numpy(queries) @ torch.from_numpy(references).T
    return matrix.max(1).indices.numpy(), matrix.max(0).indices.numpy()


def scipy_dense(queries, references):
    from scipy.spatial.distance import cdist

    matrix = cdist(queries, references, "correlation")
    return matrix.argmin(1), matrix.argmin(0)


def corrcoef(queries, references):
    matrix = np.corrcoef(queries, references)[: len(queries), len(queries) :]
    return matrix.argmax(1), matrix.argmax(0)


def prdc(queries, references):
    from prdc import compute_prdc

    compute_prdc(real_features=queries, fake_features=references, nearest_k=1)
    return None


WAYS = {
    "memtk": memtk,
    "two faiss IndexFlatIP searches": faiss_twice,
    "bare tiled product (torch), nothing found": bare,
    "memtk, with counts above a threshold": memtk_counts,
    "two scikit-learn brute searches": sklearn_twice,
    "torch: whole matrix, max(dim) twice": torch_dense,
    "numpy: whole matrix, argmax twice": numpy_dense,
    "scipy: whole cdist correlation, argmin twice": scipy_dense,
    "numpy.corrcoef, argmax twice": corrcoef,
    "prdc: three whole matrices, no ids": prdc,
}

RAW = {
    "memtk",
    "memtk, with counts above a threshold",
    "scipy: whole cdist correlation, argmin twice",
    "numpy.corrcoef, argmax twice",
}
"""Ways that centre and scale the rows in the time that is measured; others get them ready."""

MAIN = tuple(WAYS)[:3]
"""Ways that are compared in several rounds; the others are measured once."""

NEEDS = {
    "two faiss IndexFlatIP searches": "faiss",
    "two scikit-learn brute searches": "sklearn",
    "scipy: whole cdist correlation, argmin twice": "scipy",
    "prdc: three whole matrices, no ids": "prdc",
}

DENSE = tuple(WAYS)[5:]
"""Ways that need the whole matrix."""
