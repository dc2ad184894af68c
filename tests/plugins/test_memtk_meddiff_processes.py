"""Two processes train MedDiff as one does."""

from __future__ import annotations

import json

import pytest
import torch
from processes import in_two_processes

from memtk.config import build
from memtk.interfaces import ImageSpec
from memtk.training.devices import open_devices
from memtk.training.loop import train
from memtk_meddiff.generator import MedDiff3d

STEPS = {"vqgan": {"steps": 6, "batch_size": 4}, "diffusion": {"steps": 6, "batch_size": 4}}


def main(folder):
    class Images:
        spec = ImageSpec((8, 8, 8))

        def __len__(self):
            return 6

        def read(self, indices):
            generator = torch.Generator().manual_seed(0)
            return (torch.rand(6, 1, 8, 8, 8, generator=generator) * 2 - 1)[list(indices)]

    devices, smoke = open_devices("cpu"), MedDiff3d.presets["smoke"]
    torch.manual_seed(0)
    config = build(MedDiff3d.Config, smoke, STEPS, {"discriminator_start": 2})
    model = MedDiff3d(config, Images.spec)
    found = train(model, Images(), seed=1, folder=folder, devices=devices)
    buffers = {k: v.double().flatten().tolist() for k, v in model.named_buffers()}
    content = {"losses": found.losses, "buffers": buffers}
    (folder / f"found-{devices.rank}.json").write_text(json.dumps(content))
    if devices.world > 1:
        torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What one process found (this one), and each of two."""
    folder = tmp_path_factory.mktemp("processes")
    for name in ("one", "two"):
        (folder / name).mkdir()
    in_two_processes(main, folder / "two", meanwhile=lambda: main(folder / "one"))
    paths = [folder / "one/found-0.json", folder / "two/found-0.json", folder / "two/found-1.json"]
    return [json.loads(path.read_text()) for path in paths]


def test_two_processes_train_to_the_losses_of_one(found):
    one, *two = found
    for other in two:
        for phase, curve in one["losses"].items():
            for (_, a), (_, b) in zip(curve, other["losses"][phase], strict=True):
                assert b == pytest.approx(a, abs=1e-4)


def test_codebook_and_counters_are_the_same_in_all_processes(found):
    one, first, second = found
    assert first["buffers"] == second["buffers"]
    for name, values in one["buffers"].items():
        assert first["buffers"][name] == pytest.approx(values, abs=1e-3), name
