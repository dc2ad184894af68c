"""The split that data sets bring, in the names of folders and in lists."""

from __future__ import annotations

import pytest

FOUND = "images are found"
SPLIT = "each patient is in one split"
ONE_DEEPER = ["images/train", "images/val"]


def counts(groups):
    return {name: g.images for name, g in groups.items() if g.images}


def fill(folder, png, *folders):
    """Put three images into the first of the folders, four into the second, and so on."""
    for n, name in enumerate(folders):
        for i in range(3 + n):
            png(folder / name / f"{n}{i}.png", 10 * n + i)


@pytest.mark.parametrize(
    "folders",
    [
        ONE_DEEPER,
        ["training_set", "validation_set"],
        ["train_images", "val-images"],
        ["Training", "valid"],
        ["data/Train Set", "data/dev"],
        ["a/train2017", "b/val2017"],
        ["images_train", "images_dev"],
        ["trainA", "valA"],
        ["mr/trainB", "mr/valB"],
        ["stage_2_train_images", "stage_2_val_images"],
        ["dicom-images-train", "dicom-images-val"],
        ["REFUGE-Training400", "REFUGE-Validation400"],
        ["Original/a. Training Set", "Original/b. Validation Set"],
        ["MICCAI_BraTS2020_TrainingData", "MICCAI_BraTS2020_ValidationData"],
        ["knee/singlecoil_train", "knee/singlecoil_val"],
        ["Train_Sets", "Valid_Sets"],
        ["train_1", "val_2"],
    ],
)
def test_folders_named_by_splits_are_the_split(tmp_path, png, check, folders):
    fill(tmp_path, png, *folders)
    groups, found = check(tmp_path)
    assert counts(groups) == {"training": 3, "validation": 4}
    assert "split at random" not in found[FOUND].found


@pytest.mark.parametrize("test", ["test_set", "test_images", "Testing"])
def test_images_in_folders_of_test_images_are_held_out(tmp_path, png, check, test):
    fill(tmp_path, png, "train_set", "val_set", test)
    assert counts(check(tmp_path)[0]) == {"training": 3, "validation": 4, "held_out": 5}


@pytest.mark.parametrize(
    "folders",
    [["trainval", "test"], ["train_val", "test_set"], ["Training and Validation", "Testing"],
     ["development", "test"], ["images/trainval2017", "images/test2017"]],
)  # fmt: skip
def test_patients_of_a_folder_of_training_and_validation_beside_test_images_are_split(
    tmp_path, png, check, folders
):
    fill(tmp_path, png, *folders)
    groups, found = check(tmp_path, validation=0.4)
    assert counts(groups) == {"training": 2, "validation": 1, "held_out": 4}
    assert "3 patients are split at random" in found[FOUND].found


@pytest.mark.parametrize("folders", [["train", "trainval", "test"], ["trainval", "val", "test"]])
def test_a_folder_of_both_beside_one_of_either_may_hold_the_same_and_is_left_out(
    tmp_path, png, check, folders
):
    fill(tmp_path, png, *folders)
    found = check(tmp_path)[1][FOUND].found
    assert f"{3 + folders.index('trainval')} images outside" in found and "left out, " in found


def test_test_images_alone_come_with_the_way_to_name_the_others(tmp_path, png, check):
    fill(tmp_path, png, "cases", "test")
    found = check(tmp_path)[1]["there are training and validation images"]
    assert found.found == "no training images: 4 held out"
    assert "Call their folder train, or trainval where" in found.way_out


@pytest.mark.parametrize(
    "folders",
    [["p1/test", "p2/test"], ["p1/test", "p2/retest"], ["lesion/train", "healthy"],
     ["tested", "trained"], ["imaging/a", "trains/b"], ["p1_test", "p2_test"],
     ["p1_train", "p2_test"], ["stress_test", "stress_rest"], ["a/pre_test", "b/post_test"]],
)  # fmt: skip
def test_folders_that_name_no_two_splits_are_none(tmp_path, png, check, folders):
    fill(tmp_path, png, *folders)
    assert "7 patients are split at random" in check(tmp_path)[1][FOUND].found


@pytest.mark.parametrize(
    ("folders", "named"),
    [
        (["train_old", "train_new"], "train_new, train_old"),
        (["x/train_old", "x/train_new", "x/val"], "train_new, train_old, val"),
        (["oldTrain", "others"], "oldTrain"),
        (["site1_validation", "site2_train"], "site1_validation, site2_train"),
        (["a/b/valid", "a/c/train"], "train, valid"),
        (["tr", "va", "te"], "tr, va"),
        (["fold_0", "fold_1"], "fold_0, fold_1"),
        (["entrenamiento", "validación"], "entrenamiento, validación"),
        (["训练集", "验证集"], "训练集, 验证集"),
    ],
)
def test_folders_named_like_splits_that_are_mixed_are_said(tmp_path, png, check, folders, named):
    fill(tmp_path, png, *folders)
    found = check(tmp_path)[1][FOUND].found
    assert f"named like splits and taken for none: {named}. If they are, call them train" in found
    assert "named like splits" not in check(tmp_path, resplit=True)[1][FOUND].found


@pytest.mark.parametrize(
    "folders", [["tested", "trained"], ["p1/test", "p2/test"], ["a", "b"], ["va", "ny"]]
)
def test_folders_that_no_split_is_called_so_are_not_spoken_of(tmp_path, png, check, folders):
    fill(tmp_path, png, *folders)
    assert "named like splits" not in check(tmp_path)[1][FOUND].found


@pytest.mark.parametrize(
    "names",
    [
        ["train{}_0", "val{}_1", "test{}_0"],
        ["{}_training", "{}_validation", "{}_test"],
        ["img/Train-{}", "img/Valid-{}", "img/TEST-{}"],
        ["a/{} train", "b/{} dev", "b/{} test"],
        ["chest_train_{}", "chest_val_{}", "chest_test_{}"],
        ["Mass-Training_P_{}_CC", "Mass-Validation_P_{}_CC", "Calc-Test_P_{}_MLO"],
    ],
)
def test_names_of_files_that_all_say_a_split_are_it(tmp_path, png, check, names):
    for n, name in enumerate(names):
        for i in range(3 + n):
            png(tmp_path / f"{name.format(i)}.png", 10 * n + i)
    groups, found = check(tmp_path)
    assert counts(groups) == {"training": 3, "validation": 4, "held_out": 5}
    assert "the names of the files say the split: " in found[FOUND].found
    assert "split at random" not in found[FOUND].found
    groups, found = check(tmp_path, resplit=True)
    assert counts(groups) != {"training": 3, "validation": 4, "held_out": 5}
    assert "the names of the files say" not in found[FOUND].found


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["train{}_0", "val{}_1", "other{}"], "7 of 12 files are named like splits (train, val)"),
        (["{}_train", "{}_test", "{}"], "7 of 12 files are named like splits (test, train)"),
        (["test{}", "pretest{}", "x{}"], ""),
        (["p{}_train_1", "p{}_val_1", "p{}_1"], "7 of 12 files are named like splits (train, val)"),
        (["BraTS20_Training_{}", "BraTS20_Training_{}_t1", "BraTS20_Training_{}_t2"], ""),
        (["train_{}", "train_test_{}", "x{}"], ""),
        (["test{}", "test-a{}", "test-b{}"], ""),
    ],
)
def test_names_of_files_of_which_some_say_a_split_are_none(tmp_path, png, check, names, said):
    for n, name in enumerate(names):
        for i in range(3 + n):
            png(tmp_path / f"{name.format(i)}.png", 10 * n + i)
    groups, found = check(tmp_path)
    assert "held_out" not in counts(groups)
    assert ("named like splits" in found[FOUND].found) == (said != "")
    assert said in found[FOUND].found


@pytest.mark.parametrize("stray", ["images/a.png", "others/a.png", "images/more/a.png"])
def test_images_beside_folders_of_splits_one_deeper_are_refused(tmp_path, png, check, stray):
    fill(tmp_path, png, *ONE_DEEPER)
    png(tmp_path / stray, 99)
    found = check(tmp_path)[1][FOUND]
    assert found.outcome == "refused" and "(images/train, images/val), 1 do not" in found.found
    assert "data.resplit=true" in found.found
    assert counts(check(tmp_path, resplit=True, validation=0.5)[0]) == {
        "training": 4,
        "validation": 4,
    }


@pytest.mark.parametrize("name", ["synthetic", "synthetic_images", "Synthetic-Set"])
def test_folders_of_synthetic_images_hide_neither_folders_nor_lists(tmp_path, png, check, name):
    fill(tmp_path / "a", png, *ONE_DEEPER, name)
    assert counts(check(tmp_path / "a")[0]) == {"training": 3, "validation": 4}
    fill(tmp_path / "b", png, "images", name)
    (tmp_path / "b" / "test_list.txt").write_text("00.png\n")
    assert counts(check(tmp_path / "b", validation=0.5)[0]) == {
        "training": 1,
        "validation": 1,
        "held_out": 1,
    }


def nih(folder, png, count=8):
    names = [f"{i + 1:08d}_{k:03d}.png" for i in range(count) for k in range(2)]
    for seed, name in enumerate(names):
        png(folder / "images" / name, seed)
    return names


@pytest.mark.parametrize("name", ["test_list.txt", "Test_List.txt", "TEST_LIST.TXT"])
@pytest.mark.parametrize("given", ["", "images", "images/../images"])
def test_lists_are_found_above_the_images_in_any_case(tmp_path, png, check, name, given):
    names = nih(tmp_path, png)
    (tmp_path / name).write_text("\n".join(names[-4:]))
    groups, found = check(tmp_path / given)
    assert groups["held_out"].images == 4
    assert "held out, 4 images of" in found[FOUND].found and "names in" not in found[FOUND].found


def test_a_patient_of_whom_a_list_above_names_some_images_is_refused(tmp_path, png, check):
    names = nih(tmp_path, png)
    (tmp_path / "test_list.txt").write_text("\n".join(names[-3:]))
    found = check(tmp_path / "images", validation=0.2)[1][SPLIT]
    assert found.outcome == "refused" and "1 of 8 patients" in found.found


@pytest.mark.parametrize("given", ["", "images"])
def test_names_of_a_list_that_are_no_images_are_counted(tmp_path, png, check, given):
    names = nih(tmp_path, png)
    (tmp_path / "test_list.txt").write_text("\n".join([*names[-4:], "a.png", "b.png 0", "c"]))
    groups, found = check(tmp_path / given)
    assert groups["held_out"].images == 4
    assert "3 of the 7 names in" in found[FOUND].found


@pytest.mark.parametrize("name", ["test_list.txt", "Test_list.txt", "train_val_list.txt"])
def test_a_list_above_that_names_nothing_is_said(tmp_path, png, check, name):
    nih(tmp_path, png)
    (tmp_path / name).write_text("other.png\n")
    groups, found = check(tmp_path / "images")
    assert f"../{name} is not used: it names none of the images" in found[FOUND].found
    assert "held_out" not in counts(groups)


def test_the_list_of_the_others_serves_where_that_of_test_images_names_none(tmp_path, png, check):
    names = nih(tmp_path, png)
    (tmp_path / "test_list.txt").write_text("other.png\n")
    (tmp_path / "Train_Val_List.txt").write_text("\n".join(names[:-2]))
    assert check(tmp_path / "images")[0]["held_out"].images == 2


@pytest.mark.parametrize(
    "name",
    ["train.txt", "val_list.csv", "splits_final.json", "Test files.tsv", "5-fold.csv", "dev.lst"],
)
def test_lists_that_may_say_a_split_and_are_not_read_are_said(tmp_path, png, check, name):
    fill(tmp_path, png, "images")
    (tmp_path / name).write_text("00.png\n01.png\n")
    assert f"may say a split: {name}" in check(tmp_path)[1][FOUND].found


@pytest.mark.parametrize("name", ["train_labels.csv", "README.txt", "train.log", "folder.txt"])
def test_other_tables_are_not_taken_for_lists_of_a_split(tmp_path, png, check, name):
    fill(tmp_path, png, "images")
    (tmp_path / name).write_text("00.png\n")
    assert "may say a split" not in check(tmp_path)[1][FOUND].found


@pytest.mark.parametrize("name", ["fake", "Generated", "synth_images", "fakes"])
@pytest.mark.parametrize("real", [("train", "val"), ("real_train", "real_val")])
def test_folders_of_generated_images_are_no_real_ones(tmp_path, png, check, name, real):
    fill(tmp_path, png, *real, name)
    groups, found = check(tmp_path)
    assert groups["training"].images == 3 and groups["validation"].images == 4
    assert "5 synthetic images are not used" in found[FOUND].found


def test_lists_are_not_spoken_of_where_folders_say_the_split(tmp_path, png, check):
    fill(tmp_path, png, "train", "val")
    (tmp_path / "train.txt").write_text("00.png\n")
    assert "may say a split" not in check(tmp_path)[1][FOUND].found
