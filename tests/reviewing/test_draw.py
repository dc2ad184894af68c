"""Which pairs are drawn, what the controls are, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest

from memtk.errors import UserError
from memtk.reviewing import (
    Reading,
    ReadingPage,
    add_file,
    open_draw,
    open_set,
    read_labels,
    save,
)
from memtk.reviewing.draw import DrawOptions, make_draw


@pytest.fixture
def flat(runs):
    return open_set(runs / "flat")


@pytest.mark.parametrize("kind", ["flat", "solid"])
@pytest.mark.parametrize("over", ["training", "synthetic"])
def test_a_pair_is_an_image_and_the_nearest_of_the_other_set(runs, kind, over):
    reviewed = open_set(runs / kind)
    draw = make_draw(reviewed, DrawOptions(pairs=20, over=over))
    side = "train_synthetic" if over == "training" else "synthetic_train"
    index = reviewed.arrays[f"{side}_index"]
    assert len(draw.drawn) == 20
    for pair in draw.drawn:
        mine, theirs = (pair.training, pair.other)[:: 1 if over == "training" else -1]
        assert index[mine] == theirs
        training, other = reviewed.read(pair)
        assert np.array_equal(training, reviewed.images["training"].read([pair.training])[0])
        assert np.array_equal(other, reviewed.images["synthetic"].read([pair.other])[0])


def test_controls_are_changed_copies_and_the_nearest_strangers_of_other_images(flat):
    draw = make_draw(flat, DrawOptions(pairs=10, controls=8))
    used = {pair.training for pair in draw.drawn}
    for kind in ("planted", "stranger"):
        controls = [pair for pair in draw.pairs if pair.kind == kind]
        assert len(controls) == 8 and not used & {pair.training for pair in controls}
        for pair in controls:
            training, other = flat.read(pair)
            likeness = np.corrcoef(training.ravel(), other.ravel())[0, 1]
            assert not np.array_equal(training, other) or kind == "planted"
            if kind == "planted":
                assert np.array_equal(other, flat.read(pair)[1])  # the same each time
            else:
                index = flat.arrays["train_validation_index"][pair.training]
                assert np.array_equal(other, flat.images["validation"].read([int(index)])[0])
            assert abs(likeness) <= 1


def test_a_random_draw_is_uniform_and_a_stratified_one_is_near_the_threshold(flat):
    tau, similarity = flat.evidence.tau, flat.similarity("training")
    counts = np.zeros((2, len(similarity)))
    for seed in range(200):
        for k in (0, 1):
            draw = make_draw(flat, DrawOptions(pairs=10, stratified=bool(k), seed=seed))
            counts[k, [pair.training for pair in draw.drawn]] += 1
    assert counts.sum(axis=1).tolist() == [2000, 2000]
    assert np.abs(counts[0] - 50).max() < 5 * np.sqrt(50)
    near = np.argsort(np.abs(similarity - tau))
    assert counts[1, near[:8]].mean() > 1.3 * counts[1, near[-8:]].mean()
    [*strata] = draw.strata
    assert sum(each.size for each in strata) == len(similarity) and len(strata) == 4
    for pair in draw.drawn:
        each = strata[pair.stratum]
        assert each.low <= similarity[pair.training] <= each.high


def test_the_draw_is_kept_and_each_reader_has_an_order_of_their_own(flat):
    draw = open_draw(flat, {"pairs": 12, "controls": 3})
    assert open_draw(flat) == draw == open_draw(flat, {"pairs": 12})
    orders = [draw.order(name) for name in ("anna", "ben")]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])
    assert draw.order("anna") == orders[0]
    kinds = [pair.kind for pair in draw.pairs]
    assert kinds != sorted(kinds)  # even the file tells nothing by its order
    if os.name == "posix":
        assert (flat.folder / "pairs.json").stat().st_mode & 0o777 == 0o600


def test_neither_names_nor_orders_that_readers_see_tell_controls_from_others(flat):
    draw = open_draw(flat, {"pairs": 12, "controls": 6})
    names = sorted(pair.name for pair in draw.pairs)
    # of no order that a reader could try: with few pairs all orders can be tried
    assert draw.name == hashlib.sha256(" ".join(names).encode()).hexdigest()[:16]
    other = make_draw(replace(flat, key=b"of another run".ljust(32)), draw.options)
    assert not {pair.name for pair in other.pairs} & set(names) and other.name != draw.name
    kind = {pair.name: pair.kind for pair in draw.pairs}
    for wanted in ("drawn", "planted", "stranger"):
        share = list(kind.values()).count(wanted) / len(names)
        by_name = [kind[name] == wanted for name in names]
        assert {True, False} == set(by_name[: len(names) // 2])  # mixed, whatever is sorted
        places = np.array([[kind[n] == wanted for n in draw.order(str(r))] for r in range(400)])
        assert np.abs(places.mean(axis=0) - share).max() < 5 * np.sqrt(share * (1 - share) / 400)


def test_another_draw_replaces_one_without_labels_and_none_with(flat):
    first = open_draw(flat, {"pairs": 12})
    second = open_draw(flat, {"pairs": 10, "seed": 1})
    assert first.name != second.name
    save(flat.folder, second, "anna", {second.pairs[0].name: Reading(label="copy")})
    with pytest.raises(UserError, match="labels of other pairs, drawn with pairs 10.*move that"):
        open_draw(flat, {"pairs": 11})
    assert open_draw(flat) == second


def test_pairs_that_were_exported_are_not_drawn_anew(flat, tmp_path):
    draw = open_draw(flat, {"pairs": 5, "controls": 1})
    page = ReadingPage(flat, draw, read_labels(flat.folder, draw, "ben"))
    page.export(tmp_path / "pairs.html")
    with pytest.raises(UserError, match="exported page of other pairs, drawn with pairs 5.*move"):
        open_draw(flat, {"pairs": 6})
    again = open_draw(flat)
    assert again.pairs == draw.pairs and again.name == draw.name


@pytest.mark.parametrize("wrong", [{"training": 10**6}, {"other": 10**6}, {"stratum": 7}])
def test_a_draw_of_images_that_are_not_there_is_refused(flat, wrong):
    open_draw(flat, {"pairs": 5, "controls": 1})
    path = flat.folder / "pairs.json"
    tree = json.loads(path.read_text())
    tree["pairs"][0] |= wrong
    path.write_text(json.dumps(tree))
    with pytest.raises(UserError, match="pairs.json has pairs of images that the run has not"):
        open_draw(flat)


def test_labels_of_another_run_are_not_mixed_with_this_one(flat):
    draw = open_draw(flat)
    save(flat.folder, draw, "anna", {draw.pairs[0].name: Reading(label="copy")})
    path = flat.folder / "pairs.json"
    tree = json.loads(path.read_text())
    path.write_text(json.dumps(tree | {"evidence": "0" * 32}))
    with pytest.raises(UserError, match="another run of this name: move that folder away"):
        open_draw(flat)


def test_files_of_labels_are_checked_before_anything_is_taken_over(flat, tmp_path):
    draw = open_draw(flat, {"pairs": 5, "controls": 1})
    name = draw.pairs[0].name
    good = read_labels(flat.folder, draw, "anna").model_dump()
    good["labels"] = {name: {"label": "copy", "seconds": 2.5, "at": 5.0}}
    file = tmp_path / "labels.json"
    for wrong, says in (
        ({"draw": "0" * 16}, "of other pairs"),
        ({"labels": {"0" * 12: {"label": "copy", "seconds": 1, "at": 1}}}, "of other pairs"),
        ({"labels": {name: {"label": "maybe", "seconds": 1, "at": 1}}}, "does not fit"),
        ({"labels": {name: {"label": "copy", "seconds": "Infinity", "at": 1}}}, "does not fit"),
        ({"reader": "a\nb"}, "does not fit"),
        ({"patient": "PAT-1"}, "does not fit"),
    ):
        file.write_text(json.dumps(good | wrong))
        with pytest.raises(UserError, match=says):
            add_file(flat.folder, draw, file)
    file.write_text("no json")
    with pytest.raises(UserError, match="is damaged.*give the file that the page has saved"):
        add_file(flat.folder, draw, file)
    assert not list(flat.folder.glob("labels-*.json"))
    file.write_text(json.dumps(good))
    assert add_file(flat.folder, draw, file, "Dr. O'Neil / Ulm").labels[name].label == "copy"
    assert read_labels(flat.folder, draw, "Dr. O'Neil / Ulm").labels[name].seconds == 2.5


def test_runs_without_images_or_of_several_cells_are_refused(runs, tmp_path):
    from fake_runs import write_audit_run, write_run

    folder = write_audit_run(tmp_path / "given", given=True)
    with pytest.raises(UserError, match="audit of embeddings: there are no images"):
        open_set(folder)
    folder = write_run(tmp_path / "two", cells={"a": 0.5, "b": 0.1}, count=12)
    with pytest.raises(UserError, match="which cell of .*--cell NAME, one of a, b"):
        open_set(folder)
    with pytest.raises(UserError, match="has no finished cell 'c'"):
        open_set(folder, "c")
    assert open_set(folder, "b").name == "b/step-000200"
    with pytest.raises(UserError, match="leave --cell out"):
        open_set(runs / "solid", "a")
    for path in (folder / "data").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="images of .* are no longer there"):
        open_set(folder, "a")
