"""Two processes on one machine (gloo) against one."""

import json

import numpy as np
import pytest
import torch
from processes import in_two_processes

STEPS = 12


@pytest.fixture(scope="module")
def found(toy, tmp_path_factory):
    """What one process found (this one), and each of two."""
    folder = tmp_path_factory.mktemp("processes")
    for name in ("one", "two"):
        (folder / name).mkdir()
    in_two_processes(
        toy.main, folder / "two", STEPS, 0, meanwhile=lambda: toy.main(folder / "one", STEPS, 0)
    )
    paths = [folder / "one/found-0.json", folder / "two/found-0.json", folder / "two/found-1.json"]
    return [json.loads(path.read_text()) for path in paths], folder


def test_two_processes_train_to_the_losses_of_one(found):
    (one, *two), _ = found
    assert [f["world"] for f in (one, *two)] == [1, 2, 2]
    for other in two:
        for phase, curve in one["losses"].items():
            for (step, a), (same_step, b) in zip(curve, other["losses"][phase], strict=True):
                assert step == same_step
                assert b == pytest.approx(a, abs=1e-5)


def test_two_processes_end_with_the_weights_of_one(found):
    _, folder = found
    one, two = (
        torch.load(folder / name / f"checkpoints/step-{STEPS:06d}.pt", weights_only=True)["model"]
        for name in ("one", "two")
    )
    assert all(torch.allclose(one[key], two[key], atol=1e-4) for key in one)


def test_every_process_has_all_embeddings(found):
    (one, *two), _ = found
    for other in two:
        assert np.allclose(other["embeddings"], one["embeddings"], atol=1e-6)


def test_blocks_shards_and_collected_values_are_in_order(found):
    (one, first, second), _ = found
    assert first["blocks"] == second["blocks"] == one["blocks"] == list(range(7))
    assert first["shard"] + second["shard"] == one["shard"] == list(range(5))
    assert first["collected"] == second["collected"] == [0, 1]


def test_two_processes_draw_the_images_of_one(found):
    (one, first, second), _ = found
    assert first["synthetic"] == second["synthetic"] == first["written"]
    assert second["written"] == []  # the first process writes for both
    assert np.allclose(first["synthetic"], one["synthetic"], atol=1e-4)  # weights differ a little
