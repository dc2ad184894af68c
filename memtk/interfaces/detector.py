"""What copies are found by: a network that maps an image to a vector, and a measure of likeness."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal, Protocol

from torch import Tensor

from memtk.interfaces.trainable import Trainable


class Embedder(Trainable):
    """Maps an image to a vector of `width` D.

    Optional methods, used where a subclass has them:
        `take_published(path: Path) -> None`: take trained weights from a file that memtk did not
            write, which `memtk audit --weights` may name; a UserError if they do not fit. There is
            nothing to train then: `phases()` is empty.
    """

    width: int

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """Map images (B, C, *S) in [-1, 1] to embeddings (B, D). Row i depends on image i alone."""


class Similarity(Protocol):
    """Likeness of two vectors, larger = more alike.

    `compare(prepare(q), prepare(r))` is the whole measure; `prepare` works row by row and is run
    once over each set, so that `compare` can be one matrix product. Both keep the dtype they are
    given: the search runs them in float32 and repeats the winners in float64, from several threads
    at once.

    Optional methods, used where a class has them:
        `pairs(queries (K, F'), references (K, F')) -> (K,)`: the similarity of each query with the
        reference in the same row, by which winners are decided in float64. Give a row the same
        bits whatever the other rows are, and equal images tie exactly. Without it, `compare` is
        called for one pair at a time.
        `compare_into(queries (Q, F'), references (R, F'), out (Q, R))`: writes what `compare` gives
        into `out`, which need not be contiguous; it saves fresh memory for each tile.
        `rounding(queries (Q, F'), references (R, F')) -> float`: the largest error of `compare` in
        the dtype of these rows. Without it, 8 sqrt(F') roundings of the largest similarity.

    Attributes:
        space: "embedding" compares embeddings (D wide), "image" the flattened images themselves.
    """

    space: Literal["embedding", "image"]

    def prepare(self, rows: Tensor) -> Tensor:
        """Map (N, F) to (N, F'), row by row.

        Raises:
            UserError: if a row has no defined similarity (no variance, say), naming its index.
        """
        ...

    def compare(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return the similarities (Q, R) of prepared queries (Q, F') and references (R, F')."""
        ...
