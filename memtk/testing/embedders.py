"""What every embedder must keep to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from memtk.interfaces import Embedder
from memtk.testing.assertions import (
    check_no_global_randomness,
    check_rows,
    check_rows_stand_alone,
    expect,
    unchanged_by,
)
from memtk.testing.case import Case
from memtk.testing.trainables import TRAINABLE, check_stopping_and_resuming_changes_nothing, reload


def check_width_is_a_number_of_values(case: Case) -> None:
    """`width` is D, known before anything is embedded."""
    width: Any = getattr(case.make(), "width", None)
    expect(
        isinstance(width, int) and width > 0,
        f"{case.cls.__name__}.width is {width!r}; it must be the number of values of an embedding",
    )


def check_embeddings_are_vectors_of_that_width(case: Case) -> None:
    """Embeddings are float32, (B, D) and finite."""
    rows = embed(case.model, case.x)
    check_rows(f"{case.cls.__name__}.embed", rows, (len(case.x), case.model.width))


def check_different_images_have_different_embeddings(case: Case) -> None:
    """What maps every image to one vector finds nothing."""
    rows = embed(case.model, case.x)
    expect(
        not bool((rows == rows[:1]).all()),
        f"{case.cls.__name__}.embed gives one vector for {len(case.x)} different images",
    )


def check_embedding_uses_no_global_random_state(case: Case) -> None:
    """An embedding is a function of its image."""
    what = f"{case.cls.__name__}.embed"
    check_no_global_randomness(what, lambda: embed(case.model, case.x))


def check_batch_size_does_not_change_embeddings(case: Case) -> None:
    """Row i depends on image i alone, whatever batch it is embedded in."""
    what = f"{case.cls.__name__}.embed"
    check_rows_stand_alone(
        what, lambda rows: embed(case.model, case.x[rows]), len(case.x), case.tolerance
    )


def check_embedding_leaves_the_model_as_it_was(case: Case) -> None:
    """Embedding moves no weight and no buffer."""
    name = unchanged_by(case.model, lambda: embed(case.model, case.x))
    expect(not name, f"{case.cls.__name__}.embed changes {name!r} of the model")


def check_state_dict_reproduces_embeddings(case: Case) -> None:
    """A fresh instance with the model's `state_dict` gives the same vectors, bit for bit."""
    want = embed(case.model, case.x)
    expect(
        torch.equal(embed(reload(case.model, case.make(seed=1)), case.x), want),
        f"{case.cls.__name__} gives other embeddings after its checkpoint was loaded into a "
        "fresh instance: what embedding needs must be a parameter or a buffer",
    )


@torch.no_grad()
def embed(model: Embedder, x: Tensor) -> Tensor:
    """Embed images (B, C, *S) as the core does: (B, D)."""
    return model.eval().embed(x)


EMBEDDER = (
    *TRAINABLE,
    check_width_is_a_number_of_values,
    check_embeddings_are_vectors_of_that_width,
    check_different_images_have_different_embeddings,
    check_embedding_uses_no_global_random_state,
    check_batch_size_does_not_change_embeddings,
    check_embedding_leaves_the_model_as_it_was,
    check_state_dict_reproduces_embeddings,
    check_stopping_and_resuming_changes_nothing,
)
