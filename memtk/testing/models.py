"""What every generator and every embedder must keep to."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from memtk.interfaces import Embedder
from memtk.noise import Noise
from memtk.testing.assertions import (
    applies,
    check_images,
    check_no_global_randomness,
    check_rows,
    check_rows_stand_alone,
    expect,
    unchanged_by,
)
from memtk.testing.case import Case
from memtk.testing.trainables import TRAINABLE, check_stopping_and_resuming_changes_nothing, reload

SAMPLES = 3
"""Images drawn in each check."""


def check_it_says_which_images_it_learns_from(case: Case) -> None:
    """The control that must not know the training patients says so."""
    learns_from = case.cls.learns_from
    expect(
        learns_from in ("training", "held_out"),
        f"{case.cls.__name__}.learns_from is {learns_from!r}, not 'training' or 'held_out'",
    )


def check_it_says_how_many_samples_it_can_give(case: Case) -> None:
    """`most_samples` is a count, or None for any number."""
    found = case.model.most_samples(len(case.x))
    expect(
        found is None or (isinstance(found, int) and found >= 0),
        f"{case.cls.__name__}.most_samples gives {found!r}, not a number of images or None",
    )


def check_samples_are_images(case: Case) -> None:
    """Samples are float32, (B, C, *S), finite and in [-1, 1]."""
    x = draw(case.model, list(range(SAMPLES)))
    want = (SAMPLES, case.shape.channels, *case.shape.shape)
    check_images(f"{case.cls.__name__}.sample", x, want)


def check_sampling_uses_no_global_random_state(case: Case) -> None:
    """Randomness comes from `noise` alone."""
    what = f"{case.cls.__name__}.sample"
    check_no_global_randomness(what, lambda: draw(case.model, list(range(SAMPLES))))


def check_samples_follow_the_noise(case: Case) -> None:
    """Other streams give other images: of another seed, or, from a list of images, of another row.

    What goes by the place in the batch instead fails `batch_size_does_not_change_samples`.
    """
    rows = list(range(SAMPLES))
    here, other = draw(case.model, rows), draw(case.model, rows, seed=1)
    expect(
        not torch.equal(here, here[:1].expand_as(here)) or not torch.equal(here, other),
        f"{case.cls.__name__}.sample ignores its noise: it gives one image, whatever the stream",
    )


def check_batch_size_does_not_change_samples(case: Case) -> None:
    """Sample i depends on stream i alone, whatever batch it is drawn in."""
    what = f"{case.cls.__name__}.sample"
    check_rows_stand_alone(what, lambda rows: draw(case.model, rows), SAMPLES, case.tolerance)


def check_sampling_leaves_the_model_as_it_was(case: Case) -> None:
    """Sampling moves no weight and no buffer."""
    name = unchanged_by(case.model, lambda: draw(case.model, list(range(SAMPLES))))
    expect(not name, f"{case.cls.__name__}.sample changes {name!r} of the model")


def check_state_dict_reproduces_samples(case: Case) -> None:
    """A fresh instance with the model's `state_dict` gives the same images, bit for bit."""
    indices = list(range(SAMPLES))
    want = draw(case.model, indices)
    expect(
        torch.equal(draw(reload(case.model, case.make(seed=1)), indices), want),
        f"{case.cls.__name__} gives other samples after its checkpoint was loaded into a fresh "
        "instance: what sampling needs must be a parameter or a buffer",
    )


def check_reconstructions_are_images(case: Case) -> None:
    """`reconstruct`, where there is one, gives an image for each image."""
    reconstruct: Any = getattr(case.model, "reconstruct", None)
    applies(reconstruct is not None, "it has no method reconstruct")
    with torch.no_grad():
        made = reconstruct(case.x)
    check_images(f"{case.cls.__name__}.reconstruct", made, tuple(case.x.shape))


def check_denoising_loss_has_one_value_an_image(case: Case) -> None:
    """`denoising_loss`, where there is one, gives (B,), and row i by image i alone."""
    denoising_loss: Any = getattr(case.model, "denoising_loss", None)
    applies(denoising_loss is not None, "it has no method denoising_loss")
    what = f"{case.cls.__name__}.denoising_loss"

    @torch.no_grad()
    def loss(indices: list[int]) -> Tensor:
        t = torch.zeros(len(indices), dtype=torch.int64)
        value: Tensor = denoising_loss(case.x[indices], t, Noise(0, indices))
        return value

    check_rows(what, loss(list(range(len(case.x)))), (len(case.x),))
    check_rows_stand_alone(what, loss, len(case.x), case.tolerance)


def check_samples_follow_their_condition(case: Case) -> None:
    """Another condition gives another image of the same noise, where a generator takes any."""
    model, told = case.conditional
    first, second = (draw(model, [0], told[[row]]) for row in (0, 1))
    check_images(f"{case.cls.__name__}.sample", first, (1, *case.x.shape[1:]))
    expect(
        not torch.equal(first, second),
        f"{case.cls.__name__}.sample gives one image whatever its condition: after a training with "
        "two kinds of images both are asked for in vain",
    )


def check_conditional_samples_follow_the_noise(case: Case) -> None:
    """Samples that are to be the same are not one image, where a generator takes any condition."""
    model, told = case.conditional
    rows = list(range(SAMPLES))
    here, other = (draw(model, rows, told[[0] * SAMPLES], seed) for seed in (0, 1))
    expect(
        not torch.equal(here, here[:1].expand_as(here)) or not torch.equal(here, other),
        f"{case.cls.__name__}.sample ignores its noise when it is told a condition: it gives one "
        "image of each",
    )


def check_batch_size_does_not_change_conditional_samples(case: Case) -> None:
    """Sample i depends on stream i and on row i of the condition alone."""
    model, told = case.conditional
    what = f"{case.cls.__name__}.sample with a condition"
    check_rows_stand_alone(
        what, lambda rows: draw(model, rows, told[rows]), SAMPLES, case.tolerance
    )


@torch.no_grad()
def draw(model: Any, indices: list[int], condition: Tensor | None = None, seed: int = 0) -> Tensor:
    """Sample the model as the core does: (B, C, *S).

    Args:
        condition: what each sample is to be, (B, K); None: the model is told nothing.
    """
    told = {} if condition is None else {"condition": condition}
    x: Tensor = model.eval().sample(Noise(seed, indices), **told)
    return x


GENERATOR = (
    *TRAINABLE,
    check_it_says_which_images_it_learns_from,
    check_it_says_how_many_samples_it_can_give,
    check_samples_are_images,
    check_sampling_uses_no_global_random_state,
    check_samples_follow_the_noise,
    check_batch_size_does_not_change_samples,
    check_sampling_leaves_the_model_as_it_was,
    check_state_dict_reproduces_samples,
    check_reconstructions_are_images,
    check_denoising_loss_has_one_value_an_image,
    check_samples_follow_their_condition,
    check_conditional_samples_follow_the_noise,
    check_batch_size_does_not_change_conditional_samples,
    check_stopping_and_resuming_changes_nothing,
)


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


def check_reduced_images_have_the_embeddings_of_whole_ones(case: Case) -> None:
    """Images that were reduced to `Embedder.resolution` have about the vectors of whole ones."""
    if case.model.resolution is None:
        return
    small = F.interpolate(case.x, list(case.model.resolution), mode="area")
    expect(
        torch.allclose(embed(case.model, small), embed(case.model, case.x), rtol=1e-3, atol=1e-4),
        f"{case.cls.__name__}.resolution is {case.model.resolution}, but embed gives other vectors "
        "for images that were reduced to it by averages",
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
    check_reduced_images_have_the_embeddings_of_whole_ones,
    check_embedding_leaves_the_model_as_it_was,
    check_state_dict_reproduces_embeddings,
    check_stopping_and_resuming_changes_nothing,
)
