"""Labels and masks among images, by their names and by their voxels."""

from __future__ import annotations

import zipfile

import h5py
import nibabel
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from memtk.data.labels import looks_like_labels, names_labels

FOUND = "images are found"


def counts(groups):
    return {name: g.images for name, g in groups.items() if g.images}


@pytest.mark.parametrize(
    "name",
    ["labelsTr/case_000.nii.gz", "masks/1.nii.gz", "p1_seg.nii.gz", "p1_mask.nii", "label0001.nii",
     "segmentation-3.nii", "sub-01_dseg.nii.gz", "MCU_leftMask.nii", "gt/1.nii", "ground_truth.nii",
     "p1_msk.nii", "p1_lbl.nii", "LUNGMASK_1.nii", "p1_mask_pred.nii", "p1_seg_v2.nii",
     "p1_segm.nii", "wmparc.nii", "p1_label map.nii",
     "BraTS2021_00000_seg.nii.gz", "sub-01_desc-brain_mask.nii.gz", "ManualMask/1.nii",
     "masks_train/1.nii", "labels_ts/1.nii", "SegmentationClass/1.nii", "gtFine/1.nii",
     "mask_png/1.nii", "Label Maps/1.nii", "segmentation_maps/1.nii", "annotations_v2/1.nii",
     "masks-cropped/1.nii", "groundtruth_train/1.nii", "p1_Maske.nii", "masque_1.nii.gz",
     "p1_segmentación.nii", "p1_segmentacio\u0301n.nii", "annotationmap3.nii", "GTs/1.nii",
     "máscaras_pulmón/1.nii", "trainannot/1.nii", "标签/1.nii", "ground_truth_lung_3.nii",
     "CHUM-001__GTV.nii.gz", "img2mask/1.nii", "gtFine_trainvaltest/1.nii",
     "mask_liver/1.nii", "p2_maska.nii", "annos/1.nii", "s0_pve_2.nii.gz", "p1_prob.nii",
     "p1_softmax.nii", "heatmaps/1.nii", "p1_GM_probability.nii.gz",
     "ISIC_1_superpixels.nii", "p1_gradcam.nii", "overlays/1.nii", "p1_overlay.nii",
     "overlay_p1.nii", "overlay/p1.nii"],
)  # fmt: skip
def test_labels_are_left_out_by_their_names_and_said(tmp_path, image, nii, check, name):
    for i in range(3):
        nii(tmp_path / f"scan{i}.nii.gz", image(i, (8, 9, 7), 1000, np.int16))
    nii(tmp_path / name, image(9, (8, 9, 7), 1000, np.int16))
    groups, found = check(tmp_path, validation=0)
    assert counts(groups) == {"training": 3}
    assert "labels or masks, by their names" in found[FOUND].found
    kept, _ = check(tmp_path, validation=0, labels="keep", patient_pattern="(.)")
    assert counts(kept) == {"training": 4}


@pytest.mark.parametrize(
    "name",
    [
        "images",
        "segmented_t1.nii",
        "masked.png",
        "roman.png",
        "imaging.nii.gz",
        "flagged",
        "p1_unmasked_t1.nii",
        "p1_labelled.nii",
        "segway.png",
        "p1_crop_roi2_t1.nii",
        *("unmasked", "labelled-patients", "maskelyne", "segment3", "label_free", "without_mask"),
        *("images_and_masks", "MaskRCNN_out", "mask2ct", "damask", "segovia", "no-label.png"),
        *("mask-guided", "annotated", "segments", "unlabeled", "Segall", "MaskGIT_samples"),
        *("mask_study", "label_dataset", "overlaid.png", "p1_overlay_free_t1.nii", "delayed"),
    ],
)
def test_names_that_only_resemble_labels_are_images(name):
    assert not names_labels(name) and not names_labels(name, folder=True)


def test_a_folder_of_nothing_but_labels_is_refused(tmp_path, image, nii, check):
    nii(tmp_path / "d" / "masks" / "1.nii", image(1, (8, 9, 7)))
    found = check(tmp_path / "d")[1][FOUND]
    assert found.outcome == "refused" and "masks/ (1 file)" in found.found


def test_a_manifest_that_names_labels_is_refused_with_the_way_out(tmp_path, image, nii, check):
    nii(tmp_path / "labelsTr" / "1.nii", image(1, (8, 9, 7)))
    (tmp_path / "m.csv").write_text("path,patient_id\nlabelsTr/1.nii,1\n")
    found = check(tmp_path / "m.csv")[1][FOUND]
    assert found.outcome == "refused" and "data.labels=keep" in found.found


def test_absolute_paths_are_judged_below_their_manifest(tmp_path, image, nii, check):
    top = tmp_path / "masks"
    rows = [f"{nii(top / f'p{i}.nii', image(i, (12, 12, 12), 900))},p{i}" for i in range(4)]
    (top / "m.csv").write_text("path,patient_id\n" + "\n".join(rows))
    groups, _ = check(top / "m.csv")
    assert sum(group.images for group in groups.values()) == 4
    (tmp_path / "m.csv").write_text("path,patient_id\n" + "\n".join(rows))
    found = check(tmp_path / "m.csv")[1][FOUND]
    assert found.outcome == "refused" and "no image, but labels" in found.found


@pytest.mark.parametrize("values", [2, 4, 8])
def test_label_maps_are_known_by_their_voxels(tmp_path, image, png, check, values):
    from PIL import Image

    for i in range(4):
        png(tmp_path / f"{i}.png", i, (64, 64))
        Image.fromarray(image(9 + i, (64, 64)) // (256 // values + 1)).save(tmp_path / f"x{i}.png")
    found = check(tmp_path, validation=0)[1]["images are no label maps"]
    assert found.outcome == "refused" and "4 of 8 images" in found.found
    kept = check(tmp_path, validation=0, labels="by_name")[1]["images are no label maps"]
    assert kept.outcome == "accepted"


def test_one_mask_among_many_images_is_refused_by_name_and_a_setting_takes_it_in(
    tmp_path, image, png, nii, check
):
    from PIL import Image

    for i in range(30):
        png(tmp_path / f"{i}.png", i, (64, 64))
    Image.fromarray(image(99, (64, 64)) // 128).save(tmp_path / "x.png")
    png(tmp_path / "masks" / "0.png", 0, (64, 64))
    groups, found = check(tmp_path, validation=0)
    labels = found["images are no label maps"]
    assert labels.outcome == "refused" and "1 of 31 images" in labels.found
    assert labels.names == ("x.png",) and "data.labels=by_name" in labels.way_out
    groups, found = check(tmp_path, validation=0, labels="by_name")
    assert counts(groups) == {"training": 31}  # what is named a mask stays out
    assert found["images are no label maps"].outcome == "accepted"


def regions(shape, count, seed):
    """A map of regions around points, numbered in no order, in a background of 0."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    points = rng.uniform(0, shape, (count, len(shape)))
    apart = [sum((a - x) ** 2 for a, x in zip(axes, p, strict=True)) for p in points]
    found = rng.permutation(3 * count)[:count][np.argmin(apart, 0)] + 1
    found[sum((a - n / 2) ** 2 for a, n in zip(axes, shape, strict=True)) > min(shape) ** 2 / 4] = 0
    return found[None]


@pytest.mark.parametrize("count", [10, 30, 100])
@pytest.mark.parametrize("shape", [(64, 64), (128, 96), (32, 32, 32)], ids=str)
def test_maps_of_many_regions_are_label_maps(shape, count):
    assert looks_like_labels(regions(shape, count, 1))
    assert looks_like_labels(regions(shape, count, 2).astype(np.float32))


@pytest.mark.parametrize("levels", [12, 16, 20, 30, 64, 256])
def test_images_of_few_gray_levels_are_images(image, levels):
    for seed in range(5):
        seen = image(seed, (64, 64)).astype(float)
        assert not looks_like_labels(np.floor(seen / 256 * levels)[None])
        noisy = seen + np.random.default_rng(seed).normal(0, 8, seen.shape)
        assert not looks_like_labels(np.floor(noisy.clip(0, 255) / 256 * levels)[None])
        window = noisy.clip(120, 120 + levels).round() - 120
        assert not looks_like_labels(window[None])


def test_no_real_image_is_taken_for_a_label_map(real_data):
    from PIL import Image

    scans = (real_data / "hippocampus" / "images").glob("*.nii.gz")
    seen = [np.asarray(nibabel.load(path).dataobj)[None] for path in sorted(scans)[:40]]
    for folder in ("chest_xray_64", "chest_xray_256"):
        files = sorted((real_data / folder / "images").glob("*.png"))[:80]
        seen += [np.asarray(Image.open(path))[None] for path in files]
    assert not any(looks_like_labels(voxels) for voxels in seen)
    assert not any(looks_like_labels(v // 16) for v in seen[40:])  # X-rays of 16 gray levels


def layers(count, size, seed):
    """A map of layers from above to below, numbered in order, with wavy edges."""
    rng = np.random.default_rng(seed)
    edges = np.linspace(0, size, count + 1)[1:-1, None]
    waves = np.cumsum(rng.normal(0, 0.4, (count - 1, size)), 1)
    return (np.arange(size)[:, None, None] > (edges + waves).T[None]).sum(-1)[None]


def superpixels(size, side, seed):
    """A map of regions around points of a shaken grid, numbered row by row."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[side // 2 : size : side, side // 2 : size : side].reshape(2, -1)
    y, x = y + rng.normal(0, side / 6, y.shape), x + rng.normal(0, side / 6, x.shape)
    rows, columns, _ = np.mgrid[:size, :size, :1]
    return ((rows - y) ** 2 + (columns - x) ** 2).argmin(-1)[None]


@pytest.mark.parametrize("scale", [1, 0.05, -3])
def test_layers_and_regions_in_the_order_of_rows_are_label_maps(scale):
    for seed in range(3):
        for count, size in ((9, 64), (12, 96), (16, 128)):
            assert looks_like_labels(layers(count, size, seed) * scale)
        for size, side in ((64, 8), (64, 16), (128, 8)):
            assert looks_like_labels(superpixels(size, side, seed) * scale)
    assert looks_like_labels(np.broadcast_to(np.arange(40)[:, None, None] // 3, (1, 40, 32, 32)))


@pytest.mark.parametrize("blur", [1, 2, 3])
def test_soft_masks_are_label_maps(blur):
    y, x = np.mgrid[:96, :96]
    for radius in (14, 20, 30):
        for middle in (40, 48):
            mask = ((y - middle) ** 2 + (x - 48) ** 2 < radius**2).astype(float)
            soft = gaussian_filter(mask, blur)
            logistic = 1 / (1 + np.exp(12 * (0.5 - soft)))
            assert looks_like_labels(logistic[None])
            assert blur == 3 or looks_like_labels(soft[None])


def test_images_of_many_values_or_of_fractions_are_no_label_maps(image):
    assert not looks_like_labels(image(1, (1, 64, 64)))
    assert not looks_like_labels(image(1, (1, 64, 64)) / 255)
    assert looks_like_labels((image(1, (1, 64, 64)) // 100).astype(float))


@pytest.mark.parametrize("scale", [1, 0.5, 255, 1 / 255, -1])
@pytest.mark.parametrize("size", [8, 12, 16, 28, 31])
def test_masks_of_any_size_and_scale_are_label_maps(image, size, scale):
    for seed in range(5):
        seen = image(seed, (1, size, size)).astype(float)
        assert looks_like_labels(seen // 90 * scale)
        assert not looks_like_labels(seen * scale) and not looks_like_labels(seen // 8 * scale)
        assert not looks_like_labels(seen[:, :4, :4] * scale)


@pytest.mark.parametrize("size", [32, 64, 200])
def test_masks_that_were_resampled_or_saved_as_jpeg_are_label_maps(tmp_path, image, size):
    from PIL import Image

    y, x = np.mgrid[:size, :size] / size - 0.5
    for radius in (0.1, 0.25, 0.4):
        mask = Image.fromarray(np.where(y**2 + x**2 < radius**2, 255, 0).astype(np.uint8))
        mask.save(tmp_path / "a.jpg")
        assert looks_like_labels(np.asarray(Image.open(tmp_path / "a.jpg"))[None])
        soft = np.asarray(mask.resize((3 * size, 3 * size), Image.Resampling.BILINEAR))
        assert size < 200 or looks_like_labels(soft[None] / 255)
    assert not looks_like_labels(image(0, (1, size, size)))


IMAGES = {"image": (64, 64), "patient1": (64, 64), "t1_weighted": (64, 64), "volume": (8, 64, 64)}
NO_IMAGES = {
    "weight": np.float64(70.5), "age": np.int64(61), "sex": np.array("M"), "img_meta": np.eye(4),
    "notes": np.array(["a", "b"]), "bbox": np.ones((5, 4)), "shape": np.arange(3),
    "info": np.array({"a": 1}, dtype=object), "weights": np.ones((64, 64)),
    "y": np.arange(4096).reshape(64, 64), "y_train": np.ones(9), "prob": np.ones((64, 64)),
}  # fmt: skip


@pytest.mark.parametrize("named", IMAGES)
@pytest.mark.parametrize("beside", NO_IMAGES)
def test_arrays_that_are_no_images_are_left_out_beside_one(tmp_path, image, check, named, beside):
    for i in range(3):
        arrays = {named: image(i, IMAGES[named]), beside: NO_IMAGES[beside]}
        np.savez(tmp_path / f"{i}.npz", **arrays)
    groups, found = check(tmp_path, validation=0)
    assert groups["training"].images == 3 and groups["training"].shapes == (IMAGES[named],)
    assert f"({beside})" in found[FOUND].found and " (3): " in found[FOUND].found


def test_statistics_of_images_are_no_image(tmp_path, check):
    sigma = np.random.default_rng(0).normal(size=(64, 64))
    np.savez(tmp_path / "fid.npz", mu=sigma[0], sigma=sigma @ sigma.T)
    found = check(tmp_path / "fid.npz")[1][FOUND]
    assert found.outcome == "refused" and "arrays that describe an image (2)" in found.found


@pytest.mark.parametrize(
    "names", [["x_train", "x_test"], ["X_val"], ["samples"], ["imgs"], ["arr_0", "arr_1"]]
)
def test_an_array_that_is_called_a_set_or_has_a_number_for_each_image_is_no_volume(
    tmp_path, image, check, names
):
    many = np.stack([image(i) for i in range(9)])
    arrays = dict.fromkeys(names, many) | ({"arr_1": np.arange(9)} if "arr_1" in names else {})
    np.savez(tmp_path / "a.npz", **arrays)
    np.save(tmp_path / f"{names[0]}.npy", many)
    for file in ["a.npz", *([f"{names[0]}.npy"] if names != ["arr_0", "arr_1"] else [])]:
        found = check(tmp_path / file, validation=0)[1]
        said = " ".join(each.found for each in found.values() if each.outcome == "refused")
        assert f"{many.shape} holds many images, " in said and "np.savez(file, images" in said


def test_numbered_volumes_of_a_set_are_an_image_each(tmp_path, image, check):
    volumes = {f"train_{i:03d}": image(i, (7, 24, 20)) for i in range(3)}
    np.savez(tmp_path / "a.npz", **volumes)
    assert counts(check(tmp_path / "a.npz", validation=0)[0]) == {"training": 3}


@pytest.mark.parametrize("name", ["slice_positions", "z", "times"])
def test_an_array_with_a_number_for_each_slice_says_nothing_of_many_images(
    tmp_path, image, check, name
):
    np.savez(tmp_path / "a.npz", scan=image(1, (8, 64, 64)), **{name: np.arange(8.0)})
    groups, found = check(tmp_path / "a.npz", validation=0)
    assert groups["training"].shapes == ((8, 64, 64),) and name in found[FOUND].found


@pytest.mark.parametrize("labels", ["y", "labels", "age", "target", "dx", "path", "site", "view"])
def test_an_array_of_as_many_images_as_labels_is_no_volume(tmp_path, image, check, labels):
    np.savez(tmp_path / "a.npz", x=image(1, (8, 64, 64)), **{labels: np.arange(8)})
    found = check(tmp_path / "a.npz")[1][FOUND]
    assert found.outcome == "refused" and "call their array images: np.savez" in found.found


def test_arrays_named_like_labels_or_tables_are_left_out(tmp_path, image, check):
    for i in range(3):
        mask = (image(i) > 99).astype("u1")
        np.savez(tmp_path / f"{i}.npz", image=image(i), label=mask, affine=np.eye(4), seg=mask)
    groups, found = check(tmp_path, validation=0)
    assert counts(groups) == {"training": 3}
    assert "arrays that describe an image (3)" in found[FOUND].found


@pytest.mark.parametrize("stack", ["images", "train_images", "train"])
@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_arrays_beside_those_of_images_are_left_out_and_counted(
    tmp_path, image, check, kind, stack
):
    stacked, labels = np.stack([image(i) for i in range(4)]), np.arange(4)
    arrays = {stack: stacked, "train_labels": labels, "more": stacked[:2], "age": labels}
    if kind == "npz":
        np.savez(tmp_path / "a.npz", **arrays)
        with zipfile.ZipFile(tmp_path / "a.npz", "a") as file:
            file.writestr("README.txt", "images of ...")
    else:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for name, array in arrays.items():
                file[name] = array
            file["deep/images"] = stacked
    for labels in ("leave_out", "keep"):
        groups, found = check(tmp_path / f"a.{kind}", validation=0, labels=labels)
        assert counts(groups) == {"training": 4}
        assert "left out, arrays beside" in found[FOUND].found
        assert f" ({3 + (kind == 'h5')}): " in found[FOUND].found
        assert ("members of no arrays (1): a.npz (README.txt)" in found[FOUND].found) == (
            kind == "npz"
        )


def test_two_arrays_of_one_name_are_refused(tmp_path, image, check):
    np.savez(tmp_path / "a.npz", images=np.stack([image(i) for i in range(3)]))
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as file, pytest.warns(match="Duplicate"):
        file.writestr("images.npy", b"")
    found = check(tmp_path / "a.npz")[1][FOUND]
    assert found.outcome == "refused" and "holds images.npy twice" in found.found
