"""Exact nearest neighbours in both directions from one pass over tiles."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from memtk.errors import PluginError, UserError
from memtk.interfaces import Similarity
from memtk.memorization.crew import share_out
from memtk.memorization.duplicates import duplicates as identical
from memtk.memorization.nearest import Inexact
from memtk.memorization.neighbours import Neighbours, Search, merge
from memtk.memorization.one_pass import Pass
from memtk.memorization.patients import SamePatient
from memtk.memorization.prepared import Prepared
from memtk.memorization.source import Source

__all__ = ["TILE", "Gather", "Neighbours", "Search", "search"]

Gather = Callable[[Any], list[Any]]
"""object -> the objects of all processes, in the order of their ranks."""

TILE = (1024, 2048)
"""The most queries and references in a tile: 8 MiB of float32, which stay in the cache."""

PATIENCE = 8**6
"""How much larger than promised an error of a similarity may be."""


@torch.no_grad()
def search(
    queries: Source,
    references: Source,
    similarity: Similarity,
    *,
    threshold: float | None = None,
    top: int = 1,
    patients: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
    duplicates: bool = False,
    tile: tuple[int, int] = TILE,
    device: str | torch.device = "cpu",
    rank: int = 0,
    world: int = 1,
    gather: Gather | None = None,
    names: tuple[str, str] = ("queries", "references"),
) -> Search:
    """Find the nearest reference of each query and the nearest query of each reference.

    The similarity matrix is computed in float32, tile by tile, and each tile is reduced along both
    axes at once; the whole matrix is never there. Every pair that may be a maximum, given how far
    float32 may be off, is computed again in float64 and decides there: the result is that of a
    search in float64, ties included, whatever the tile, the device or the number of processes.
    Each float64 value is checked against that error; if one lies outside, the search is repeated
    with a larger one. Memory is O(Q + R) and one tile beside the (prepared) sets.

    With `patients` a set can be searched against itself: the nearest image of another patient.

    Args:
        queries: (Q, *F) array, tensor, memory-mapped array or anything with `len` and slices. What
            does not lie in memory is read and prepared block by block.
        references: (R, *F).
        similarity: see `memtk.interfaces.Similarity`; larger = more alike.
        threshold: pairs strictly above it are counted, by query and by reference.
        top: how many nearest of each are kept, k; of fewer rows all are.
        patients: of the queries (Q,) and of the references (R,): pairs of one patient are left
            out, everywhere. A row that finds no other patient has similarity -inf and index -1.
        duplicates: True also lists the rows with the same bits; see `duplicates`.
        tile: the most queries and references in a tile.
        device: where the tiles are computed.
        rank: of this process; each process takes its share of the references.
        world: the number of processes.
        gather: object -> the objects of all processes; needed if there are several.
        names: what the two sets are called in messages.

    Raises:
        UserError: if a set is empty, the sets differ in F, a row has no similarity, `top` is less
            than 1, or there are not as many patients as rows.
        PluginError: if the similarity contradicts itself or gives NaN.

    >>> class Dot:
    ...     space = "embedding"
    ...     def prepare(self, rows): return rows
    ...     def compare(self, queries, references): return queries @ references.T
    >>> found = search([[1.0, 0.0], [0.0, 2.0]], [[3.0, 1.0], [1.0, 1.0]], Dot(), threshold=1.5)
    >>> found.queries.similarity.tolist(), found.queries.index.tolist()
    ([3.0, 2.0], [0, 0])
    >>> found.references.index.tolist(), found.references.above.tolist()
    ([0, 1], [2, 1])
    """
    if world > 1 and gather is None:
        raise ValueError("several processes need `gather`")
    if top < 1:
        raise UserError(f"top {top}: ask for at least 1 nearest row.")
    problem: UserError | None = None
    part: Search | None = None
    try:
        rows, columns = _prepared((queries, references), similarity, device, names)
        if rows.width != columns.width:
            raise UserError(
                f"{names[0]} have {rows.width} numbers a row and {names[1]} have {columns.width}: "
                "both sets must come from the same embedder, or have the same image shape."
            )
        sizes = len(rows), len(columns)
        same = SamePatient(*patients, sizes, names) if patients is not None else None
        share = (sizes[1] * rank // world, sizes[1] * (rank + 1) // world)
        part = _search(rows, columns, similarity, threshold, top, same, tile, share)
    except UserError as error:
        problem = error
    parts: list[Any] = gather((problem, part)) if gather is not None else [(problem, part)]
    for problem, _ in parts:  # a problem of one process is told by all, and none is left waiting
        if problem is not None:
            raise problem
    shares: list[Search] = [part for _, part in parts]
    return Search(
        merge([share.queries for share in shares]),
        merge([share.references for share in shares]),
        identical(rows.source, columns.source, patients=patients) if duplicates else None,
    )


def _prepared(
    sources: tuple[Source, Source],
    similarity: Similarity,
    device: str | torch.device,
    names: tuple[str, str],
) -> list[Prepared]:
    """Prepare both sets, side by side; if both are refused, the first is told."""
    found: list[Prepared | UserError | None] = [None, None]

    def prepare(side: int) -> None:
        try:
            found[side] = Prepared(sources[side], similarity, device=device, name=names[side])
        except UserError as error:
            found[side] = error

    share_out((0, 1), lambda: prepare, torch.get_num_threads())
    for side in found:
        if isinstance(side, UserError):
            raise side
    return [side for side in found if isinstance(side, Prepared)]


def _search(
    rows: Prepared,
    columns: Prepared,
    similarity: Similarity,
    threshold: float | None,
    top: int,
    same: SamePatient | None,
    tile: tuple[int, int],
    share: tuple[int, int],
) -> Search:
    """Search this process's share of the references."""
    slack = 1.0
    with _full_float32():
        while slack <= PATIENCE:
            try:
                return Pass(
                    rows, columns, similarity, threshold=threshold, top=top, same=same, slack=slack
                ).run(tile, share)
            except Inexact:
                slack *= 8
    raise PluginError(
        f"similarity {type(similarity).__name__}: `compare` does not give in float32 what it gives "
        "in float64 for one pair. Both must be the same function of the prepared rows."
    )


@contextmanager
def _full_float32() -> Iterator[None]:
    """Multiply float32 matrices in float32, also where less was allowed (TF32, bfloat16)."""
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(allowed)
