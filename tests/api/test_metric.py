"""`memtk.Memorization`: a metric of a running training with the numbers of a bench."""

from __future__ import annotations

import copy
import math
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from processes import in_two_processes
from torchmetrics import Metric, MetricCollection

import memtk
from memtk import UserError
from memtk.bench import make_plan, read_recipe, run_bench
from memtk.data.images import MemoryImages, StoredImages, open_images
from memtk.noise import derive
from memtk.registry import open_registry

SEED = 7
FAST = ("embedder.training.steps=4",)
SETS = (
    "data.phantom.training=20",
    "data.phantom.validation=16",
    "data.phantom.size=16",
    "bench.plants=8",
    "bench.exposure=none",
    "copycat.rate=0.5",
    "copycat.vary=contrast",
    *FAST,
)
ASKED = {"embedder": "ntxent2d", "preset": "smoke", "plants": 8, "seed": SEED, "device": "cpu"}


def bench(folder, sets=(), data="phantom2d", **asked):
    registry = open_registry()
    options = {"generator": ("copycat",), "preset": "smoke", "seed": SEED, **asked}
    recipe = read_recipe(registry, options, data=data, sets=(*SETS, *sets))
    run = run_bench(make_plan(recipe, registry), registry, out=folder, device="cpu")
    [data_file] = (folder / "data").glob("*.h5")
    [cell] = (folder / "cells").iterdir()
    images = [StoredImages(data_file, split) for split in ("training", "validation")]
    synthetic = [open_images(path) for path in sorted((cell / "synthetic").glob("*.h5"))]
    return run.results[0], images, synthetic, cell.name


@pytest.fixture(scope="module")
def benched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "detector"
    return bench(folder, embedder="ntxent2d")


@pytest.fixture(scope="module")
def metric(benched):
    """The metric of the images of that bench, not yet updated."""
    return memtk.Memorization.from_images(*benched[1], settings=FAST, **ASKED)


@pytest.fixture
def fresh(metric):
    return copy.deepcopy(metric)


def feed(metric, images, size=6):
    x = images.read(range(len(images)))
    for batch in x.split(size):
        metric.update(batch)
    return x


def nearly(value):
    """A record as it is dumped, its numbers to six digits."""
    if isinstance(value, dict):
        return {key: nearly(each) for key, each in value.items()}
    return pytest.approx(value, rel=1e-6) if isinstance(value, float) else value


def floats(found):
    return {name: float(value) for name, value in found.items()}


def expected(checkpoint):
    """The numbers of a stored checkpoint by the names of the metric, written out."""
    evidence = checkpoint.evidence
    found = {
        "copy_rate": evidence.copy_rate.estimate,
        "copy_rate_low": evidence.copy_rate.low,
        "copy_rate_high": evidence.copy_rate.high,
        "copy_rate_upper_bound": evidence.copy_rate_upper_bound,
        "copies_at_least": evidence.copies.at_least,
        "dar/n_mem": evidence.reference_n_mem / 20,
        "dar/n_mem_null": evidence.reference_null,
        "dar/tau": evidence.tau,
    }
    for key in ("n_mem", "n_mem_null"):
        measure = checkpoint.protocols["dar-matched"]["n_mem"]
        found[f"dar-matched/{key}"] = measure.null if "null" in key else measure.value
    if evidence.exposed:
        found["patients_exposed_low"] = evidence.exposed.low
        found["patients_exposed_high"] = evidence.exposed.high
    return found


def test_it_gives_the_numbers_that_the_bench_gives_for_the_same_samples(benched, fresh):
    result, _, [synthetic], cell = benched
    fresh.seed = derive(SEED, "intervals", cell, "step-000000")
    feed(fresh, synthetic)
    found = floats(fresh.compute())
    want = expected(result.checkpoints[-1])
    assert {name: found[name] for name in want} == pytest.approx(want, rel=1e-5)
    fresh.reset()
    feed(fresh, synthetic, size=20)
    fresh.compute()
    found, told = (
        e.model_dump() for e in (fresh.evaluation.evidence, result.checkpoints[-1].evidence)
    )
    told["comparable"]["likeness"] = None  # of the images themselves, which the metric keeps not
    assert found == nearly(told)
    assert 0.1 < want["copy_rate_low"] < want["copy_rate"]


def test_in_image_space_it_has_the_exposure_of_the_bench_too(tmp_path):
    sets = ("bench.exposure=last", "bench.similarity=ncc")
    result, images, [synthetic], cell = bench(tmp_path / "ncc", sets)
    asked = {k: v for k, v in ASKED.items() if k not in ("embedder", "preset")}
    made = memtk.Memorization.from_images(*images, similarity="ncc", **asked)
    made.seed = derive(SEED, "intervals", cell, "step-000000")
    feed(made, synthetic)
    found = floats(made.compute())
    want = expected(result.checkpoints[-1])
    assert want["patients_exposed_low"] > 0
    assert {name: found[name] for name in want} == pytest.approx(want, rel=1e-6)


def test_of_embeddings_it_gives_the_numbers_of_an_audit_of_them(tmp_path):
    rng = np.random.default_rng(0)
    train, validation = rng.normal(size=(40, 6)), rng.normal(size=(30, 6))
    synthetic = np.concatenate([train[:15] + 0.01, rng.normal(size=(25, 6))])
    people = [i // 2 for i in range(40)], [f"v{i}" for i in range(30)]
    made = memtk.Memorization.from_images(train, validation, people, seed=3, device="cpu")
    made.update(torch.from_numpy(synthetic[:20]))
    made.update(synthetic[20:])
    found = made.compute()
    audit = memtk.audit(
        *(np.float32(rows) for rows in (train, validation, synthetic)),
        train_patients=people[0], validation_patients=people[1], seed=3, device="cpu",
        out=tmp_path / "audit", progress=False,
    ).audit  # fmt: skip
    assert made.evaluation.evidence == audit.evidence
    assert audit.evidence.exposed.low == found["patients_exposed_low"] > 0
    assert float(found["conformal/n_mem"]) == audit.protocols["conformal"]["n_mem"].value


def test_the_interval_of_another_seed_is_the_same_but_for_the_draws(benched, fresh):
    feed(fresh, benched[2][0])
    first = fresh.compute()
    fresh.seed += 1
    fresh._computed = None
    second = fresh.compute()
    moved = {name for name in first if first[name] != second[name]}
    assert moved <= {"copy_rate_low", "copy_rate_high", "copy_rate_upper_bound"}
    assert all(abs(first[name] - second[name]) < 0.03 for name in moved)


def test_images_and_their_embeddings_say_the_same(benched, fresh):
    x = feed(fresh, benched[2][0])
    found = fresh.compute()
    fresh.reset()
    fresh.update(fresh.embed(x[:9]))
    fresh.update(fresh.embed(x[9:]))
    assert floats(fresh.compute()) == pytest.approx(floats(found), rel=1e-4)


def test_after_a_reset_nothing_is_left_of_the_images_before(benched, fresh):
    x = feed(fresh, benched[2][0])
    found = fresh.compute()
    fresh.reset()
    feed(fresh, benched[1][1])  # validation images: no copies
    other = fresh.compute()
    assert other["copy_rate"] < 0.1 < found["copy_rate"] - 0.1
    fresh.reset()
    fresh.update(x)
    assert floats(fresh.compute()) == pytest.approx(floats(found), rel=1e-4)
    with pytest.raises(UserError, match="call update before compute"):
        fresh.reset()
        fresh.compute()


def test_it_is_a_metric_like_others(benched, fresh):
    x = benched[2][0].read(range(20))
    assert isinstance(fresh, Metric)
    assert fresh(x)["dar/n_mem"] > 0.3  # forward: of this batch
    assert floats(fresh.compute()) == pytest.approx(floats(fresh(x)), rel=1e-4)
    found = MetricCollection({"memorization": fresh})
    found.update(x)
    assert found.compute()["copy_rate"] > 0.2
    again = pickle.loads(pickle.dumps(fresh))
    again.reset()
    again.update(x)
    fresh.reset()
    fresh.update(x)
    assert again.compute() == fresh.compute()


def test_the_detector_is_no_part_of_the_module_that_holds_the_metric(metric):
    module = torch.nn.Module()
    module.metric = metric
    assert list(module.parameters()) == [] and list(module.state_dict()) == []


def test_it_touches_no_generator_of_random_numbers(benched, fresh):
    def states():
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()

    before = states()
    made = memtk.Memorization.from_images(*benched[1], settings=FAST, **ASKED)
    feed(made, benched[2][0])
    made.compute()
    assert states() == before


def compute_in_one_of_two(folder):
    """Give each process every other image, one of them one more, and keep what it computes."""
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    metric, x = pickle.loads((folder / "metric").read_bytes())
    assert metric.reference.devices.world == 1
    metric.update(x[rank::2][:3])
    metric.update(x[rank::2][3:])
    found = metric.compute()
    if metric._is_synced:
        metric.unsync()
    assert len(metric.rows) == 2  # its own again
    (folder / str(rank)).write_bytes(pickle.dumps(found))
    torch.distributed.destroy_process_group()


def test_two_processes_have_the_numbers_of_one_though_one_has_more_images(benched, fresh, tmp_path):
    x = benched[2][0].read(range(19))
    (tmp_path / "metric").write_bytes(pickle.dumps((fresh, x)))
    in_two_processes(compute_in_one_of_two, tmp_path)
    first, second = (pickle.loads((tmp_path / str(rank)).read_bytes()) for rank in range(2))
    fresh.update(x)
    assert floats(first) == floats(second) == pytest.approx(floats(fresh.compute()), rel=1e-6)


def test_a_training_stops_once_no_call_has_been_better_for_its_patience():
    """From the fourth epoch on there are copies, and no better quality."""
    rng = np.random.default_rng(1)
    train, validation = rng.normal(size=(40, 6)), rng.normal(size=(40, 6))
    made = memtk.Memorization.from_images(train, validation, device="cpu")
    with pytest.raises(UserError, match="needs a compute before it"):
        made.stop(1.0, patience=2)
    said = []
    for copies, quality in zip((0, 0, 0, 10, 20, 30), (9.0, 5.0, 4.0, 4.1, 4.0, 4.2), strict=True):
        made.reset()
        made.update(np.concatenate([train[:copies], rng.normal(size=(40 - copies, 6))]))
        made.compute()
        said.append((made.stop(quality, patience=2), made.best))
    assert said == [(False, 0), (False, 1), (False, 2), (False, 2), (True, 2), (True, 2)]


def test_a_training_whose_quality_matters_alone_goes_on_as_long_as_that_gets_better():
    rng = np.random.default_rng(1)
    train, validation = rng.normal(size=(40, 6)), rng.normal(size=(40, 6))
    made = memtk.Memorization.from_images(train, validation, device="cpu")
    for copies, quality in ((0, 9.0), (20, 5.0), (40, 4.0)):
        made.reset()
        made.update(np.concatenate([train[:copies], rng.normal(size=(40 - copies, 6))]))
        made.compute()
        assert not made.stop(quality, patience=1, weight=0)
    assert made.best == 2


def test_the_dictionary_has_the_same_names_whatever_the_images(benched, fresh):
    feed(fresh, benched[2][0])
    some = fresh.compute()
    fresh.reset()
    fresh.update(benched[1][1].read([0]))
    few = fresh.compute()
    assert list(some) == list(few)
    assert math.isnan(few["dar-matched/n_mem"])  # fewer synthetic than validation images
    assert all(value.dtype == torch.float64 and value.shape == () for value in few.values())


X = torch.linspace(-1, 1, 6 * 64).reshape(6, 1, 8, 8).roll(torch.arange(6).tolist(), [0] * 6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": X * 2}, r"train: values from -2 to 2; give images in \[-1, 1\]"),
        ({"train": (X * 100).byte()}, "train: an array of uint8 .* floating-point numbers"),
        ({"train": X[:, 0]}, r"train: the shape \(6, 8, 8\) holds no images: give \(N, C, \*S\)"),
        ({"validation": X[:, :, :4]}, r"are \(1, 8, 8\), the validation images \(1, 4, 8\)"),
        ({"validation": X / 0}, "validation: .* finite"),
        ({"validation": X}, "6 validation images are identical to a training image"),
        ({"patients": (range(6), range(5, 11))}, "1 patient is among the training and the"),
        ({"patients": (range(5), range(6, 12))}, "patients=: give two lists"),
        ({"patients": (["a", None, *"bcde"], range(6))}, r"patients\[0\]\[1\] is empty"),
        ({"embeder": "ntxent2d"}, "Memorization.from_images.*embeder.*Did you mean 'embedder'"),
        ({"quality": ["fid"]}, "quality= goes with memtk.audit; this takes images as the"),
        ({"settings": "data.shape=8,8"}, "the setting data goes with memtk.audit"),
        ({"settings": {"audit": {"plants": 3}}}, "the setting audit goes with memtk.audit"),
        ({"settings": ["embedder.stps=3"]}, "unknown key .*stps"),
        ({"embedder": "ntxent3d"}, "works on 3D images; the data are 2D"),
        ({"similarity": "ncc", "embedder": "ntxent2d"}, "the images themselves: leave out"),
        ({"train": X[:, 0, 0], "validation": X[:, 0, 0, :4]}, "differ in width"),
        ({"train": X[:, 0, 0], "validation": -X[:, 0, 0], "similarity": "ncc"}, "compares images"),
        ({"train": X[:, 0, 0], "validation": -X[:, 0, 0], "preset": "demo"}, "go with images"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_in_one_sentence(change, words):
    given = {"train": X, "validation": -X / 2, "device": "cpu", **change}
    with pytest.raises(UserError, match=words):
        memtk.Memorization.from_images(given.pop("train"), given.pop("validation"), **given)


@pytest.mark.parametrize("given", [(X, -X / 2), (X,), (None,), ([X, X],)])
def test_images_in_place_of_what_was_learned_from_them_are_refused_with_the_way_out(given):
    with pytest.raises(
        UserError, match=r"say memtk\.Memorization\.from_images\(train, validation\)"
    ):
        memtk.Memorization(*given)


def test_synthetic_images_of_another_shape_or_not_finite_are_refused(fresh):
    with pytest.raises(UserError, match=r"images \(1, 8, 8\) were given; the training images are"):
        fresh.update(X)
    with pytest.raises(UserError, match="finite floating-point"):
        fresh.update(torch.full((2, 1, 16, 16), torch.nan))
    with pytest.raises(UserError, match="embeddings of 3 numbers were given"):
        fresh.update(torch.zeros(2, 3))


def test_values_beyond_the_range_are_clipped_as_a_bench_does(fresh):
    x = torch.linspace(-2, 2, 512).reshape(2, 1, 16, 16)
    assert torch.equal(fresh.embed(x), fresh.embed(x.clamp(-1, 1)))


MASKED = np.ma.masked_less(np.linspace(-1, 1, 2048).reshape(8, 1, 16, 16), 0.5)


@pytest.mark.parametrize("rows", [MASKED, [*MASKED], MASKED.reshape(8, 256)])
def test_what_a_mask_hides_is_not_taken_for_voxels(fresh, rows):
    plain = np.zeros(np.shape(rows), np.float32)
    for take in (
        fresh.update,
        lambda x: memtk.Memorization.from_images(x, plain),
        lambda x: memtk.audit(x, plain, plain),
    ):
        with pytest.raises(
            UserError, match=r"what a masked array hides would count: give \w+\.fil"
        ):
            take(rows)


def test_patients_of_prepared_images_are_taken_and_others_win(benched):
    training, validation = benched[1]
    made = memtk.Memorization.from_images(
        training, validation, similarity="ncc", plants=4, device="cpu"
    )
    assert made.reference.calibration.patients.training == training.patients
    whose = ["one"] * 20, [f"p{i}" for i in range(16)]
    plain = [MemoryImages(each.read(range(len(each)))) for each in (training, validation)]
    named = memtk.Memorization.from_images(*plain, whose, similarity="ncc", plants=4, device="cpu")
    assert named.reference.calibration.patients.training == ("one",) * 20
    assert len(named.reference.calibration.planted.sources) == 1  # one copy a patient


def test_import_of_memtk_imports_no_torchmetrics_and_without_it_says_what_to_install():
    program = (
        "import sys, memtk, memtk.api\n"
        "assert 'torchmetrics' not in sys.modules\n"
        "sys.modules['torchmetrics'] = None\n"
        "try:\n    memtk.Memorization\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'memtk[metric]'" in done.stdout, done.stderr
