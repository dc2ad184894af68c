from __future__ import annotations

import numpy as np
import pytest

from memtk.data.images import StoredImages, open_images
from memtk.report.bench import cell_images
from memtk.report.pictures import (
    NEAR,
    TOP,
    choose,
    find_pairs,
    plane_sizes,
    planes,
    short_hash,
    show_image,
    window_of,
)
from memtk.results import read_arrays, read_result, write_arrays

KEY = b"k" * 32


def pairs_of(folder, cell="monai"):
    result = read_result(folder / "cells" / cell / "result.json")
    arrays = read_arrays(folder / "cells" / cell / "arrays.h5", result.last.label)
    return find_pairs(arrays, cell_images(folder, result), KEY, f"{cell}/{result.last.label}")


def test_the_most_alike_come_first_then_those_that_are_just_not_flagged():
    similarity = np.linspace(0, 1, 40)
    top, near = choose(similarity, similarity > 0.5)
    assert top == [39, 38, 37, 36, 35, 34, 33, 32]
    assert near == [19, 18, 17, 16]
    assert choose(similarity, np.zeros(40, dtype=bool)) == (top, [])  # they are on top
    assert choose(np.ones(3), np.ones(3, dtype=bool)) == ([0, 1, 2], [])


@pytest.mark.parametrize("shape", [(12, 12), (8, 10, 12)])
def test_a_pair_shows_the_training_image_with_its_nearest_synthetic_one(make_run, shape):
    folder = make_run(shape=shape)
    found = pairs_of(folder)
    cell = folder / "cells/monai"
    arrays = read_arrays(cell / "arrays.h5", "step-000200")
    training = StoredImages(next((folder / "data").glob("*.h5")), "training")
    synthetic = open_images(cell / "synthetic/step-000200.h5")
    shown = [*found.top, *found.near]
    assert len(found.top) == TOP and len(found.near) == NEAR and found.dims == len(shape)
    order = np.argsort(-arrays["train_synthetic"], kind="stable")
    rows = [order[pair.rank - 1] for pair in shown]
    ours = training.read(rows).numpy()
    theirs = synthetic.read(arrays["train_synthetic_index"][rows]).numpy()
    window = window_of(np.stack([ours, theirs]))
    size = 102 if len(shape) == 3 else 150
    sizes = plane_sizes(training.spec.spacing, len(shape))
    for pair, row, one, other in zip(shown, rows, ours, theirs, strict=True):
        for pictures, image in ((pair.training, one), (pair.synthetic, other)):
            expected = [
                show_image(p, window, mm, size) for p, mm in zip(planes(image), sizes, strict=True)
            ]
            assert list(pictures) == expected
        assert pair.names[0] == short_hash(KEY, "training", row)
        partner = int(arrays["train_synthetic_index"][row])
        assert pair.names[1] == short_hash(KEY, "monai/step-000200", partner)
        assert pair.similarity == arrays["train_synthetic"][row]
        assert pair.memorized == arrays["memorized"][row]
        for how, side, place in ((pair.exposed, "exposure", row), (pair.copy, "copies", partner)):
            assert (how == "sure") == arrays[f"{side}_sure"][place]
            assert bool(how) == arrays[f"{side}_flagged"][place]
    assert not any(pair.memorized for pair in found.near)


def test_with_part_of_the_training_images_the_right_ones_are_shown(make_run):
    folder = make_run()
    path = folder / "cells/monai/arrays.h5"
    whole = pairs_of(folder)
    write_arrays(path, "training", {"index": np.arange(24)[::-1].copy()})
    turned = pairs_of(folder)
    arrays = read_arrays(path, "step-000200")
    row = int(np.argmax(arrays["train_synthetic"]))
    assert turned.top[0].names[0] == short_hash(KEY, "training", 23 - row)
    assert turned.top[0].training != whole.top[0].training


def test_where_the_exposure_was_not_tested_no_pair_says_anything_of_it(make_run):
    folder = make_run()
    path = folder / "cells/monai/arrays.h5"
    arrays = read_arrays(path, "step-000200")
    kept = {k: v for k, v in arrays.items() if not k.startswith("exposure")}
    write_arrays(path, "step-000200", kept)
    assert all(pair.exposed is None for pair in pairs_of(folder).top)


def test_what_an_older_memtk_flagged_is_a_suspect(make_run):
    folder = make_run()
    path = folder / "cells/monai/arrays.h5"
    arrays = read_arrays(path, "step-000200")
    assert any(pair.copy == "sure" for pair in pairs_of(folder).top)
    old = {k: v for k, v in arrays.items() if not k.endswith(("_sure", "_at_least"))}
    write_arrays(path, "step-000200", old)
    assert {pair.copy for pair in pairs_of(folder).top} <= {"suspect", ""}


def test_without_images_there_are_no_pairs(make_run):
    folder = make_run()
    (folder / "cells/monai/synthetic/step-000200.h5").unlink()
    assert cell_images(folder, read_result(folder / "cells/monai/result.json")) == {}


def test_the_nearest_stranger_stands_beside_each_pair(make_run):
    folder = make_run()
    arrays = read_arrays(folder / "cells/monai/arrays.h5", "step-000200")
    validation = StoredImages(next((folder / "data").glob("*.h5")), "validation")
    found = pairs_of(folder)
    order = np.argsort(-arrays["train_synthetic"], kind="stable")
    rows = [order[pair.rank - 1] for pair in found.top]
    strangers = validation.read(arrays["train_validation_index"][rows].tolist()).numpy()
    training = StoredImages(next((folder / "data").glob("*.h5")), "training")
    synthetic = open_images(folder / "cells/monai/synthetic/step-000200.h5")
    every = [order[pair.rank - 1] for pair in (*found.top, *found.near)]
    partners = arrays["train_synthetic_index"][every].tolist()
    window = window_of(np.stack([training.read(every).numpy(), synthetic.read(partners).numpy()]))
    [pixel] = plane_sizes(validation.spec.spacing, 2)
    for pair, stranger in zip(found.top, strangers, strict=True):
        assert pair.real == (show_image(stranger, window, pixel, 150),)


def test_no_stranger_is_shown_where_the_validation_images_are_not_those_compared(make_run):
    folder = make_run()
    path = folder / "cells/monai/arrays.h5"
    arrays = read_arrays(path, "step-000200")
    fewer = arrays | {"validation_train": arrays["validation_train"][:-1]}
    write_arrays(path, "step-000200", fewer)
    assert all(pair.real == () for pair in pairs_of(folder).top)
