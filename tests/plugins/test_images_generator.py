from __future__ import annotations

import csv
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from imageio import v3 as imageio

from memtk.bench import make_plan, read_recipe, run_bench
from memtk.components import find_component
from memtk.config import build
from memtk.data.config import DataConfig
from memtk.data.images import write_images
from memtk.data.prepare import prepare
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk.registry import open_registry
from memtk.testing import check_generator
from memtk_files.images import GivenImages, GivenImagesConfig

DRAWN = np.random.default_rng(0)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "made"
    folder.mkdir()
    for number in range(4):
        image = DRAWN.integers(0, 255, (12, 10)).astype(np.uint8)
        imageio.imwrite(folder / f"{number}.png", image)
    return folder


def make(source, spec=None, **asked):
    config = build(GivenImagesConfig, {"source": str(source)}, asked, where="images")
    return GivenImages(config, spec or ImageSpec((12, 10)))


def everything(model):
    return model.sample(Noise(7, range(len(model))))


def test_the_images_are_listed_once_for_their_settings(pictures, registry, monkeypatch):
    asked = []
    monkeypatch.setattr("memtk_files.images.contents_of", lambda of: str(asked.append(len(of))))
    find_component(registry, "generator", "images", {"source": str(pictures)}, "smoke")
    assert asked == [4]


def test_a_sample_is_the_image_of_its_index_prepared_as_data_are(pictures, tmp_path):
    asked = {"shape": (8, 16), "percentiles": (1, 99)}
    found = everything(make(pictures, ImageSpec((8, 16)), **asked))
    sources = {"source": str(pictures), "synthetic_source": str(pictures)}
    config = build(DataConfig, sources, asked)
    expected = prepare(config, tmp_path / "data", open_registry()).split("synthetic")
    assert torch.equal(found, expected.read(range(4)))
    one = make(pictures, ImageSpec((8, 16)), **asked).sample(Noise(0, [2, 0]))
    assert torch.equal(one, found[[2, 0]])


def test_it_keeps_the_rules_of_generators(pictures):
    check_generator(GivenImages, {"source": str(pictures)}, ImageSpec((12, 10)))


def test_volumes_are_turned_and_cropped_as_data_are(tmp_path):
    folder = tmp_path / "volumes"
    folder.mkdir()
    for number in range(2):
        voxels = DRAWN.normal(size=(8, 10, 12)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-1, 1, 2, 1])), folder / f"{number}.nii")
    asked = {"orientation": "ras", "shape": (8, 8, 8), "spacing": (1, 1, 2)}
    found = everything(make(folder, ImageSpec((8, 8, 8)), **asked))
    sources = {"source": str(folder), "synthetic_source": str(folder)}
    expected = prepare(build(DataConfig, sources, asked), tmp_path / "data", open_registry())
    assert torch.equal(found, expected.split("synthetic").read(range(2)))


def test_of_a_manifest_the_images_marked_synthetic_are_taken_in_its_order(pictures):
    rows = [("2.png", "synthetic"), ("0.png", "train"), ("1.png", "synthetic")]
    with (pictures / "listed.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "split"))
        writer.writerows(rows)
    found = everything(make(pictures / "listed.csv"))
    assert torch.equal(found, everything(make(pictures))[[2, 1]])


def test_images_that_memtk_wrote_come_back_to_the_bit(tmp_path):
    x = torch.rand(3, 1, 12, 10) * 2 - 1
    write_images(tmp_path / "drawn.h5", [x], 3, ImageSpec((12, 10)))
    assert torch.equal(everything(make(tmp_path / "drawn.h5", percentiles=None)), x)
    np.save(tmp_path / "wide.npy", np.linspace(0, 9, 120).reshape(12, 10))
    with pytest.raises(UserError, match=r"values from 0 to 9, not in \[-1, 1\]"):
        make(tmp_path / "wide.npy", percentiles=None)


def test_colour_is_refused_unless_it_is_to_be_gray(tmp_path):
    image = DRAWN.integers(0, 255, (12, 10, 3)).astype(np.uint8)
    imageio.imwrite(tmp_path / "a.png", image)
    with pytest.raises(UserError, match=r"a.png is in colour: .*images.color=gray"):
        make(tmp_path / "a.png")
    assert make(tmp_path / "a.png", color="gray").read(0).shape == (1, 12, 10)


def test_images_of_another_size_are_refused_before_anything_is_trained(pictures):
    with pytest.raises(
        UserError, match=r"0.png is 12x10 .* are 16x16 with 1.\n.*images.shape=16,16"
    ):
        make(pictures, ImageSpec((16, 16)))


def test_more_samples_than_images_are_refused_with_how_many_there_are(pictures):
    model = make(pictures)
    assert len(model) == model.most_samples(99) == 4
    with pytest.raises(UserError, match=r"holds 4 images and 5 were asked(.|\n)*--samples 4"):
        model.sample(Noise(0, range(5)))


def test_an_image_that_cannot_be_used_is_named(pictures, tmp_path):
    imageio.imwrite(pictures / "3.png", np.zeros((12, 10), dtype=np.uint8))
    with pytest.raises(UserError, match="3.png is blank"):
        everything(make(pictures))
    (pictures / "3.png").write_bytes(b"none")
    with pytest.raises(UserError, match="3.png"):
        everything(make(pictures))
    np.save(pictures / "3.npy", np.full((12, 10), np.nan))
    (pictures / "3.png").unlink()
    with pytest.raises(UserError, match="3.npy has 120 NaN"):
        everything(make(pictures))
    with pytest.raises(UserError, match="nowhere: there is no such file or folder"):
        make(tmp_path / "nowhere")
    with pytest.raises(UserError, match="images.source is missing"):
        build(GivenImagesConfig, {}, where="images")


def test_settings_that_data_refuse_are_refused(pictures):
    with pytest.raises(UserError, match="two ascending numbers from 0 to 100"):
        make(pictures, percentiles=(9, 3))
    with pytest.raises(UserError, match="two or three positive numbers of voxels"):
        make(pictures, shape=(0, 3))


def test_its_settings_are_those_of_the_data(pictures):
    config = build(GivenImagesConfig, {"source": str(pictures)})
    defaults = DataConfig.model_validate({"source": "x"})
    for key in GivenImages.as_the_data:
        assert getattr(config, key) == getattr(defaults, key)
    assert all(field.description for field in GivenImagesConfig.model_fields.values())


def test_its_configuration_changes_with_the_images(pictures):
    config = build(GivenImagesConfig, {"source": str(pictures)})
    assert build(GivenImagesConfig, config.model_dump()) == config
    Path(pictures / "0.png").write_bytes((pictures / "1.png").read_bytes())
    assert build(GivenImagesConfig, {"source": str(pictures)}).contents != config.contents
    with pytest.raises(UserError, match="these are not the images they were"):
        build(GivenImagesConfig, config.model_dump())


def test_a_bench_judges_given_images_beside_a_control(tmp_path):
    registry = open_registry()
    phantoms = build(DataConfig, {"source": "phantom2d", "phantom": {"size": 16}})
    training = prepare(phantoms, tmp_path / "data", registry).split("training").read(range(8))
    write_images(tmp_path / "copies.h5", [training], 8, ImageSpec((16, 16)))
    sets = ["data.source=phantom2d", "data.phantom.size=16"]
    sets += ["data.phantom.training=8", "data.phantom.validation=8", "bench.plants=0"]
    sets += [f"images.source={tmp_path / 'copies.h5'}", "images.percentiles=none"]
    asked = {"generator": ("images", "copycat"), "similarity": "ncc", "preset": "smoke"}
    recipe = read_recipe(registry, asked, sets=sets)
    run = run_bench(make_plan(recipe, registry), registry, out=tmp_path / "run", device="cpu")
    found = [result.checkpoints[-1].protocols["dar"]["n_mem"].count for result in run.results]
    assert found == [8, 8]
