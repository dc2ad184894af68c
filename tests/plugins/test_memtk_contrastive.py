from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss

from memtk.config import build
from memtk.data.images import MemoryImages
from memtk.evaluation.detector import Detector
from memtk.events import StageEvents, ignore
from memtk.imaging.augmentation import mixed
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk.registry import open_registry
from memtk.training import job as jobs
from memtk.training.devices import open_devices
from memtk.training.job import TrainingOptions
from memtk.training.loop import train
from memtk_contrastive.embedder import (
    Contrastive2d,
    Contrastive3d,
    ContrastiveConfig,
    ntxent,
    reduce,
    reduced_shape,
)
from memtk_contrastive.networks import SameConv, strides

TINY = {"width": 2, "hidden": 6, "embedding": 4}


def make(cls, shape, *layers, channels=1):
    torch.manual_seed(0)
    return cls(build(cls.Config, *layers), ImageSpec(shape, channels))


@pytest.mark.parametrize(("count", "temperature"), [(2, 0.07), (9, 0.07), (5, 0.5)])
def test_ntxent_equals_the_library_that_the_reference_method_used(count, temperature):
    generator = torch.Generator().manual_seed(count)
    first, second = (torch.randn(count, 8, generator=generator) for _ in range(2))
    labels = torch.arange(count).repeat(2)
    expected = NTXentLoss(temperature)(torch.cat([first, second]), labels)
    torch.testing.assert_close(ntxent(first, second, temperature), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("shape", "millions"), [((32, 256, 256), 120.30), ((64, 64, 64), 7.56)])
def test_the_default_3d_network_is_the_one_of_the_paper(shape, millions):
    with torch.device("meta"):
        model = make(Contrastive3d, shape)
        assert model.encoder(torch.empty(1, 1, *shape)).shape == (1, 512)
        assert model.embed(torch.empty(1, 1, *shape)).shape == (1, 32)
    count = sum(p.numel() for p in model.parameters())
    assert round(count / 1e6, 2) == millions


def test_the_strides_of_the_paper_halve_only_what_is_longer_than_four():
    assert strides((32, 256, 256), 4) == [(2, 2, 2)] * 3 + [(1, 2, 2)] * 3
    assert strides((64, 64, 64), 4) == [(2, 2, 2)] * 4


@pytest.mark.parametrize(
    ("shape", "features"),
    [((32, 48, 32), 8 * 4 * 6 * 4), ((17, 9, 3), 8 * 4 * 4 * 3), ((2, 2), 32)],
)
def test_any_size_is_taken(shape, features):
    model = make(Contrastive3d if len(shape) == 3 else Contrastive2d, shape, TINY)
    assert model.encoder.features == features
    assert model.embed(torch.zeros(2, 1, *shape)).shape == (2, 4)


def test_a_same_convolution_repeats_the_border_with_the_larger_half_in_front():
    conv = SameConv(1, 1, 4, (1, 2), 2)
    torch.nn.init.ones_(conv.conv.weight)
    torch.nn.init.zeros_(conv.conv.bias)
    x = torch.arange(24.0).reshape(1, 1, 4, 6)
    rows = x[:, :, [0, 0, 0, 1, 2, 3, 3]]
    padded = rows[:, :, :, [0, 0, 1, 2, 3, 4, 5, 5]]
    expected = torch.nn.functional.avg_pool2d(padded, 4, stride=(1, 2)) * 16
    torch.testing.assert_close(conv(x), expected)


@pytest.mark.parametrize("augmentation", ["paper", "strong", "wide"])
def test_the_loss_depends_on_its_noise_and_on_no_global_generator(augmentation):
    model = make(Contrastive3d, (8, 8, 8), TINY, {"augmentation": augmentation, "deformed": 0.5})
    x = torch.rand(4, 1, 8, 8, 8) * 2 - 1

    def loss(seed):
        torch.manual_seed(torch.initial_seed() + 1)
        return model("training", "embedder", x, Noise(seed, range(4)))["ntxent"]

    assert torch.equal(loss(0), loss(0))
    assert not torch.equal(loss(0), loss(1))


def test_dropout_keeps_the_mean_and_is_off_when_embedding():
    model = make(Contrastive2d, (8, 8), TINY)
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(model.embed(x), model._embed(x, torch.ones(3, 6)))
    kept = torch.cat((Noise(0, range(4000)).uniform(2, 6) < 0.5).unbind(1)) / 0.5
    assert float(kept.mean()) == pytest.approx(1, abs=0.02)


def test_the_turn_moves_every_parameter():
    model = make(Contrastive2d, (16, 16), TINY, {"augmentation": "strong"})
    (phase,) = model.phases()
    x = torch.rand(6, 1, 16, 16) * 2 - 1
    sum(model(phase.name, "embedder", x, Noise(0, range(6))).values()).backward()
    assert set(phase.turns[0].parameters()) == set(model.parameters())
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in model.parameters())


def test_training_draws_the_views_of_one_image_together():
    model = make(Contrastive2d, (16, 16), TINY, {"dropout": 0.0})
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((8, 1, 4, 4), generator=generator).repeat_interleave(4, 2)
    x = x.repeat_interleave(4, 3) * 2 - 1
    adam = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for step in range(30):
        loss = model("training", "embedder", x, Noise(step, range(8)))["ntxent"]
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert math.isfinite(losses[-1])
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize(
    ("shape", "longest", "expected"),
    [
        ((256, 256), 64, (64, 64)),
        ((100, 60), 64, (64, 38)),
        ((32, 256, 256), 48, (8, 48, 48)),
        ((5, 96, 96), 48, (5, 48, 48)),
        ((32, 48, 32), 48, (32, 48, 32)),
        ((300, 20), None, (300, 20)),
    ],
)
def test_images_are_reduced_in_proportion_and_no_axis_to_less_than_eight(shape, longest, expected):
    assert reduced_shape(shape, longest) == expected


@pytest.mark.parametrize(("shape", "goal"), [((12, 20), (6, 5)), ((9, 14, 10), (4, 8, 10))])
def test_a_reduced_voxel_is_the_mean_of_the_voxels_that_it_touches(shape, goal):
    x = torch.rand(2, 1, *shape)
    expected = np.empty((2, 1, *goal))
    for index in np.ndindex(*goal):
        covered = tuple(
            slice(i * n // m, -(-(i + 1) * n // m))
            for i, n, m in zip(index, shape, goal, strict=True)
        )
        part = x.double().numpy()[(slice(None), slice(None), *covered)]
        expected[(slice(None), slice(None), *index)] = part.mean(tuple(range(2, part.ndim)))
    np.testing.assert_allclose(reduce(x, goal).numpy(), expected, atol=1e-6)
    assert reduce(x, shape) is x


@pytest.mark.parametrize(
    ("cls", "shape"), [(Contrastive2d, (40, 32)), (Contrastive3d, (10, 16, 20))]
)
def test_a_detector_with_a_resolution_sees_reduced_images_only(cls, shape):
    model = make(cls, shape, TINY, {"resolution": 16})
    x = torch.rand(3, 1, *shape)
    small = reduced_shape(shape, 16)
    same = make(cls, small, TINY)
    same.load_state_dict(model.state_dict())
    assert torch.equal(model.embed(x), same.embed(reduce(x, small)))
    (phase,), (there,) = model.phases(), same.phases()
    assert torch.equal(phase.encode(x), reduce(x, small)) and there.encode is None


class CountedImages(MemoryImages):
    """Images that count how many of them were read."""

    count, most = 0, 0

    def read(self, indices):
        self.count += len(indices)
        self.most = max(self.most, len(indices))
        return super().read(indices)


def test_training_reads_each_image_once_where_it_looks_at_reduced_ones(tmp_path):
    x, weights = torch.rand(6, 1, 24, 32) * 2 - 1, []
    small = reduced_shape((24, 32), 16)
    for number, images in enumerate((CountedImages(x), CountedImages(reduce(x, small)))):
        shape, steps = tuple(images.x.shape[2:]), {"training": {"steps": 5, "batch_size": 4}}
        model = make(Contrastive2d, shape, TINY, {"resolution": 16}, steps)
        model.load_state_dict(make(Contrastive2d, small, TINY).state_dict())
        train(model, images, seed=0, folder=tmp_path / str(number), devices=open_devices("cpu"))
        weights.append(torch.cat([w.flatten() for w in model.state_dict().values()]))
        assert images.count == (6 if number == 0 else 5 * 4)
    assert torch.equal(*weights)


def test_large_images_are_few_in_memory_whether_they_are_encoded_or_embedded(tmp_path, monkeypatch):
    images, tables = CountedImages(torch.rand(6, 1, 24, 32) * 2 - 1), []
    model = make(Contrastive2d, (24, 32), TINY, {"resolution": 16}).eval()
    devices = open_devices("cpu")
    for number, voxels in enumerate((2**25, 2 * 24 * 32)):
        monkeypatch.setattr(jobs, "VOXELS", voxels)
        images.most = 0
        job = SimpleNamespace(
            model=model,
            images=images,
            seed=0,
            devices=devices,
            options=TrainingOptions(),
            events=lambda phase, what: StageEvents(what, ignore),
        )
        (phase,) = model.phases()
        jobs.encode(job, phase, phase.encode, tmp_path / f"{number}.npy")
        tables.append(np.load(tmp_path / f"{number}.npy"))
        assert images.most == (6 if number == 0 else 2)
    assert np.array_equal(*tables)
    images.most = 0
    context = SimpleNamespace(batch_size=4, devices=devices, watch=ignore)
    looking = SimpleNamespace(_model=model, resolution=model.resolution, _context=context)
    found = Detector.see(looking, images)
    assert images.most == 1
    np.testing.assert_allclose(found, model.embed(images.x).detach().numpy(), atol=1e-6)


def test_with_mirror_a_flip_of_the_last_axis_changes_no_bit_and_without_it_does():
    x = torch.rand(5, 1, 16, 24) * 2 - 1
    for mirror in (True, False):
        model = make(Contrastive2d, (16, 24), TINY, {"mirror": mirror})
        assert torch.equal(model.embed(x), model.embed(x.flip(-1))) is mirror
    model = make(Contrastive2d, (16, 24), TINY, {"mirror": True, "resolution": 10})
    torch.testing.assert_close(model.embed(x), model.embed(x.flip(-1)), atol=1e-5, rtol=0)


def test_with_mirror_an_embedding_is_the_sum_of_two_unit_vectors():
    x = torch.rand(4, 1, 8, 12, 10)
    model, plain = (make(Contrastive3d, (8, 12, 10), TINY, {"mirror": m}) for m in (True, False))
    both = [plain.embed(y).detach().double().numpy() for y in (x, x.flip(-1))]
    expected = sum(z / np.linalg.norm(z, axis=1, keepdims=True) for z in both)
    np.testing.assert_allclose(model.embed(x).detach().numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["ntxent2d", "ntxent3d"])
def test_the_audit_preset_embeds_each_image_by_itself(name):
    cls = open_registry().load("embedder", name)
    shape = (72, 64) if name == "ntxent2d" else (20, 60, 24)
    model = make(cls, shape, cls.presets["audit"])
    x = torch.rand(5, 1, *shape)
    with torch.no_grad():
        torch.testing.assert_close(model.embed(x)[3:4], model.embed(x[3:4]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (0.4, 0.4), (1.0, 1.0)])
def test_the_share_asked_for_is_warped_before_both_views_are_made(share, expected):
    model = make(Contrastive2d, (8, 8), TINY, {"deformed": share})
    x = torch.rand(1, 1, 8, 8).expand(400, -1, -1, -1) * 2 - 1
    first, second = model._views(x, Noise(0, range(400))).chunk(2)
    warped = (first != x).flatten(1).any(1)
    assert float(warped.double().mean()) == pytest.approx(expected, abs=0.07)
    # A quarter of the second views of the paper's pairs are the first ones.
    same = (first == second).flatten(1).all(1)
    assert float(same.double().mean()) == pytest.approx(0.25, abs=0.08)


@pytest.mark.parametrize("name", ["ntxent2d", "ntxent3d"])
@pytest.mark.parametrize("preset", [None, "smoke", "demo", "audit"])
def test_every_preset_makes_a_model(name, preset):
    cls = open_registry().load("embedder", name)
    dims = int(name[-2])
    layers = [cls.presets[preset]] if preset else [{}]
    with torch.device("meta"):
        model = make(cls, (32,) * dims, *layers)
        assert model.embed(torch.empty(2, 1, *(32,) * dims)).shape == (2, model.width)


def test_settings_are_described():
    assert all(f.description for n, f in ContrastiveConfig.model_fields.items() if n != "training")


@pytest.mark.parametrize(("count", "numbers"), [(5, 8), (40, 24)])
def test_a_copy_is_seen_where_it_lies_eight_deviations_beyond_strangers(count, numbers):
    model = make(Contrastive2d, (16, 16), TINY)
    model.embed = lambda x: x.flatten(1)[:, 100 : 100 + numbers]
    x = torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(3)) * 2 - 1
    of = np.arange(100) % count
    sets = x, mixed(x[of], Noise(4, range(100)))
    rows, copies = (model.embed(part).double().numpy() for part in sets)
    rows, copies = (r / np.linalg.norm(r, axis=1, keepdims=True) for r in (rows, copies))
    strangers = np.arctanh(np.sort(rows @ rows.T, axis=1)[:, -2])
    own = np.arctanh((copies * rows[of]).sum(1).clip(max=1 - 1e-7))
    expected = (own > strangers.mean() + 8 * strangers.std(ddof=1)).mean()
    assert 0 < expected < 1
    assert model.seen(x, Noise(4, range(100))) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["ntxent2d", "ntxent3d"])
def test_the_audit_preset_alone_ends_before_its_last_step_and_is_good_at_any(name):
    cls = open_registry().load("embedder", name)
    for preset, settings in cls.presets.items():
        training = build(cls.Config, settings).training
        assert (training.enough > 0) == (preset == "audit")
        if preset == "audit":
            assert training.schedule == "constant" and training.ema_decay > 0
