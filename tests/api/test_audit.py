from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
import torch

import memtk
from memtk import UserError
from memtk.auditing import ReleaseOptions, release
from memtk.evaluation.context import open_run
from memtk.interfaces import ImageSpec
from memtk.registry import open_registry
from memtk.results import Policy

N, V, M = 20, 24, 22
COPIED = 12
QUICK = {"similarity": "ncc", "plants": 8, "progress": False, "device": "cpu"}


def pictures(count, seed):
    """Smooth random images (count, 16, 16)."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.normal(size=(count, 1, 5, 5)))
    return torch.nn.functional.interpolate(coarse, size=(16, 16), mode="bicubic")[:, 0].numpy()


@pytest.fixture(scope="module")
def sets():
    """Training, validation and synthetic images; of these the first twelve are copies."""
    train, fresh = pictures(N, 0), pictures(M - COPIED, 2)
    noise = np.random.default_rng(3).normal(size=(COPIED, 16, 16))
    return train, pictures(V, 1), np.concatenate([train[:COPIED] + 0.01 * noise, fresh])


@pytest.fixture(scope="module")
def found(sets, tmp_path_factory):
    return memtk.audit(*sets, out=tmp_path_factory.mktemp("audit") / "run", **QUICK)


def test_other_images_in_the_folder_of_a_run_thrown_away_are_audited_as_in_a_fresh_one(
    sets, tmp_path
):
    others = (pictures(N, 10), pictures(V, 11), pictures(M, 12))
    fewer = (pictures(N - 6, 13), pictures(V, 14), pictures(M, 15))
    memtk.audit(*sets, out=tmp_path / "run", **QUICK)
    for number, images in enumerate((others, fewer, sets)):
        again = memtk.audit(*images, out=tmp_path / "run", resume=False, **QUICK)
        fresh = memtk.audit(*images, out=tmp_path / f"fresh-{number}", **QUICK)
        assert again.audit.evidence == fresh.audit.evidence
        assert again.audit.selftest == fresh.audit.selftest


def test_a_run_that_is_thrown_away_leaves_nothing_behind(sets, tmp_path):
    memtk.audit(*sets, out=tmp_path, **QUICK)
    recipe = {"data": {"source": "others"}}
    open_run(tmp_path, recipe, [], resume=False)
    left = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert left == {"key", "run.json"}


def test_copies_are_named_by_their_rows_with_the_rows_they_were_made_from(found):
    assert {(pair.image, pair.nearest) for pair in found.copies} >= {
        (row, row) for row in range(COPIED)
    }
    assert all(pair.named in ("sure", "suspect") and pair.p <= 0.1 for pair in found.copies)
    least = [pair.at_least for pair in found.synthetic_images]
    assert least == sorted(least) and max(least) == found.audit.evidence.copies.at_least
    assert len(found.synthetic_images) == M and len(found.training_images) == N
    assert {pair.image for pair in found.exposed_images} >= set(range(COPIED))


def test_what_was_found_is_there_as_attributes(found):
    conformal = found.audit.evidence
    assert found.outcome == "fail" and found.reasons == tuple(found.audit.verdict.reasons)
    assert found.copy_rate == conformal.copy_rate.estimate > 0.4
    low, high = found.copy_rate_interval
    assert low < found.copy_rate <= high <= 1
    assert found.copy_rate_upper_bound == conformal.copy_rate_upper_bound
    low, high = found.exposed_patients
    assert (low, high) == (conformal.exposed.low, conformal.exposed.high) and high >= low > 0
    assert 0 < found.sensitivity <= 1
    shown = [name for name in dir(found) if not name.startswith("_")]
    assert {"copies", "copy_rate", "exposed_patients", "outcome", "reasons"} < set(shown)
    assert all(getattr(type(found), n).__doc__ for n in shown if hasattr(type(found), n))


def test_the_verdict_is_that_of_the_same_images_in_files(sets, found, tmp_path):
    for name, images in zip(("train", "val", "made"), sets, strict=True):
        np.savez(tmp_path / f"{name}.npz", images=images)
    paths = (tmp_path / f"{name}.npz" for name in ("train", "val", "made"))
    again = memtk.audit(*paths, out=tmp_path / "run", **QUICK)
    assert again.outcome == found.outcome == "fail"
    assert again.audit.protocols == found.audit.protocols


def test_tensors_with_channels_are_the_same_images(sets, found, tmp_path):
    train, validation, synthetic = (torch.from_numpy(images)[:, None] for images in sets)
    again = memtk.audit(train, validation, synthetic, out=tmp_path / "run", **QUICK)
    assert again.audit.protocols == found.audit.protocols


def test_the_same_call_finds_its_run_again_and_leaves_no_images_beside_it(
    sets, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    first = memtk.audit(*sets, **QUICK)
    before = (first.folder / "audit.json").stat().st_mtime_ns
    assert memtk.audit(*sets, **QUICK).folder == first.folder
    assert (first.folder / "audit.json").stat().st_mtime_ns >= before
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [first.folder.name]
    assert memtk.audit(*sets, **QUICK | {"plants": 7}).folder != first.folder


def test_a_prompt_shows_the_verdict_the_reasons_and_where_the_report_is(found):
    text = repr(found)
    assert text.startswith("Fail: ") and found.reasons[0] in text
    assert f"{COPIED}" in text and str(found.report()) in text


def test_a_notebook_shows_a_card_that_names_no_file_and_escapes_what_it_shows(found):
    card = found._repr_html_()
    assert "Fail" in card and "Copy rate" in card
    assert str(found.folder) not in card and ".npy" not in card
    assert card.count("<div") == card.count("</div>")


def test_the_report_is_copied_and_the_record_written(found, tmp_path):
    assert found.report(tmp_path / "a" / "page.html").read_bytes() == found.report().read_bytes()
    text = found.to_json(tmp_path / "audit.json")
    assert json.loads(text) == json.loads((found.folder / "audit.json").read_text())
    assert (tmp_path / "audit.json").read_text() == text + "\n"


def test_the_policy_decides(sets, found):
    keys = {"max_copy_rate": 0.99, "max_exposed_patients": 0.99, "min_sensitivity": 0.0}
    keys["max_unseen_patients"] = 1.0
    for policy in (keys, Policy(**keys)):
        again = memtk.audit(*sets, out=found.folder, policy=policy, **QUICK)
        assert again.outcome != found.outcome
    with pytest.raises(UserError, match=r"policy\.max_copyrate"):
        memtk.audit(*sets, out=found.folder, policy={"max_copyrate": 1}, **QUICK)


def test_arrays_of_two_axes_are_embeddings(sets, tmp_path):
    train, validation, synthetic = (images.reshape(len(images), -1) for images in sets)
    found = memtk.audit(
        train,
        torch.from_numpy(validation),
        synthetic,
        validation_patients=[f"p{row // 2}" for row in range(V)],
        out=tmp_path / "run",
        progress=False,
    )
    assert {pair.image for pair in found.synthetic_images[:COPIED]} == set(range(COPIED))
    assert found.audit.counts["validation"].patients == V // 2
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_patients_are_counted_as_they_were_given(sets, tmp_path):
    found = memtk.audit(
        *sets, train_patients=[row // 2 for row in range(N)], out=tmp_path / "run", **QUICK
    )
    assert found.audit.counts["training"].patients == N // 2


def flat(images, row=None):
    rows = images.reshape(len(images), -1).copy()
    if row is not None:
        rows[row] = np.nan
    return rows


REFUSED = [
    (
        lambda t, v, s: memtk.audit(flat(t), flat(v), flat(s, 6)),
        r"synthetic\[6\] holds .* \(1 such row\)$",
    ),
    (lambda t, v, s: memtk.audit(flat(t), flat(v), s), "train has two axes, .*synthetic has not"),
    (lambda t, v, s: memtk.audit(t, v, flat(s)), "synthetic has two axes, .*train has not"),
    (lambda t, v, s: memtk.audit(flat(t), v, "s.csv"), "train has two axes, .*validation has not"),
    (
        lambda t, v, s: memtk.audit(flat(t), flat(v), flat(s), validation_patients=["a"]),
        r"validation_patients has the shape \(1,\): 24 are needed",
    ),
    (lambda t, v, s: memtk.audit(flat(t), flat(v), flat(s), embedder="a"), "embedder goes with im"),
    (lambda t, v, s: memtk.audit(t, v), "synthetic is missing"),
    (lambda t, v, s: memtk.audit({"x": t}, v, s), "train: dict holds no images. Give "),
    (lambda t, v, s: memtk.audit((x for x in t), v, s), "train: generator holds no images"),
    (lambda t, v, s: memtk.audit(t, v, s, workers=0), "workers=0: give a whole number"),
    (lambda t, v, s: memtk.audit(t, v, s, workers="2"), "workers='2': give a whole number"),
    (lambda t, v, s: memtk.audit(t, v, s, device=3), "device= is of type int"),
    (lambda t, v, s: memtk.audit(t, v, s, device=None), "device= is of type NoneType"),
    (lambda t, v, s: memtk.audit(t, v, s, device=["cpu"]), "device= is of type list"),
    (
        lambda t, v, s: memtk.Memorization.from_images(t, v, device=3),
        "device= is of type int: give a text",
    ),
    (lambda t, v, s: memtk.audit(t, v, s, quality="fi"), "unknown quality 'fi'"),
    (lambda t, v, s: memtk.audit(t, v, s, quality=["fid", 3]), "quality= has 3 in it"),
    (lambda t, v, s: memtk.audit(t, v, s, settings="data.colr=gray"), "unknown key 'data.colr'"),
    (lambda t, v, s: memtk.audit(t, v, s, settings=7), "settings= has 7 in it"),
    (lambda t, v, s: memtk.audit(t, None, s), "validation is missing"),
    (lambda t, v, s: memtk.audit(t, v, s, train_patients=["a"]), "20 images and 1 patient"),
    (lambda t, v, s: memtk.audit(t.astype(str), v, s), "train: an array of <U"),
    (lambda t, v, s: memtk.audit(t[:0], v, s), "holds no images"),
    (lambda t, v, s: memtk.audit([[[1.0]], [[1.0, 2.0]]], v, s), "train: .*(shape|images)"),
    (lambda t, v, s: memtk.audit("t.csv", v, s, train_patients=["a"]), "goes with an array"),
    (
        lambda t, v, s: memtk.audit(*(x.reshape(len(x), -1) for x in (t, v, s)), held_out=v[:, 0]),
        "held_out goes with images",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[case[1] for case in REFUSED])
def test_what_cannot_be_audited_is_refused_in_words(sets, call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"(?s){message}"):
        call(*sets)


def test_the_arguments_are_named_in_the_signature():
    named = inspect.signature(memtk.audit).parameters
    assert {"train", "validation", "synthetic", "embedder", "similarity", "plants"} < set(named)
    assert not any(p.kind is p.VAR_KEYWORD for p in named.values())
    said = inspect.getdoc(memtk.audit)
    assert [name for name in named if f"\n    {name}: " not in said] == []
    with pytest.raises(TypeError, match="plnts"):
        memtk.audit(None, plnts=3)


def test_colour_pictures_are_refused_with_the_way_out_or_made_gray(sets, tmp_path):
    rgb = [np.stack([x, x + 0.1, x - 0.2], axis) for x, axis in zip(sets, (-1, 1, -1), strict=True)]
    with pytest.raises(UserError) as refused:
        memtk.audit(*rgb, out=tmp_path / "run", **QUICK)
    assert "in colour" in str(refused.value) and "train[0], train[1]" in str(refused.value)
    assert 'settings=["data.color=gray"]' in str(refused.value)
    found = memtk.audit(*rgb, settings=["data.color=gray"], out=tmp_path / "run", **QUICK)
    assert found.outcome == "fail"
    assert found.audit.data.spec.shape == [16, 16] and found.audit.data.spec.channels == 1


def broken(images, row, voxels):
    images = images.copy()
    images[row] = voxels
    return images


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, v, s: (t, v, broken(s, 6, 1.0)), r"blank, 1 of 66 images: synthetic\[6\]"),
        (lambda t, v, s: (t, broken(v, 3, np.nan), s), r"NaN or infinite.*validation\[3\]"),
        (lambda t, v, s: (t, broken(v, 3, t[5]), s), r"train\[5\] .*= validation\[3\]"),
        (lambda t, v, s: (t, v, s[:, :12]), r"synthetic\[0\].*settings=\[\"data.shape=16,16\"\]"),
        (lambda t, v, s: (t, v, broken(s, 15, v[2])), r"identical to a validation image"),
    ],
)
def test_refusals_speak_of_arrays(sets, change, message, tmp_path):
    with pytest.raises(UserError, match=f"(?s){message}") as refused:
        memtk.audit(*change(*sets), out=tmp_path / "run", **QUICK)
    said = str(refused.value)
    assert "--" not in said and ".npy" not in said and str(tmp_path) not in said


def test_one_text_and_an_array_of_objects_stand_for_what_they_hold(sets, found, tmp_path):
    objects = np.empty(len(sets[0]), dtype=object)
    objects[:] = list(sets[0])
    asked = {"settings": "data.labels=by_name", "quality": "all", "out": tmp_path / "run"}
    again = memtk.audit(objects, *sets[1:], **asked, **QUICK)
    assert again.audit.protocols == found.audit.protocols
    assert list(again.audit.measure_info) == ["ms-ssim"]


def test_a_setting_that_cannot_be_read_is_named_as_it_was_given(sets, tmp_path):
    with pytest.raises(UserError, match=r'settings=\["data.shape"\]: write it as KEY=VALUE'):
        memtk.audit(*sets, settings=["data.shape"], out=tmp_path / "run", **QUICK)
    with pytest.raises(UserError, match=r"leave out embedder=, or compare .*similarity=.pearson"):
        memtk.audit(*sets, embedder="ntxent2d", out=tmp_path / "run", **QUICK)


def test_arrays_and_files_stand_beside_each_other(sets, found, tmp_path):
    np.savez(tmp_path / "val.npz", images=sets[1])
    again = memtk.audit(sets[0], tmp_path / "val.npz", sets[2], out=tmp_path / "run", **QUICK)
    assert again.audit.protocols == found.audit.protocols


def test_nothing_is_written_but_the_run_folder_and_release_says_why_it_cannot(found, tmp_path):
    assert [path.name for path in found.folder.parent.iterdir()] == ["run"]
    assert not list(found.folder.rglob("*.npy"))
    with pytest.raises(UserError, match="given to memtk.audit as an array"):
        release(found.folder, open_registry(), ReleaseOptions(Policy(), similarity="pearson"))


def test_images_that_are_read_piece_by_piece_are_never_held_whole(sets, found, tmp_path):
    class Pieces:
        spec = ImageSpec((16, 16), 1, (1.0, 1.0))
        patients = ()

        def __init__(self, x):
            self.x, self.most = x, 0

        def __len__(self):
            return len(self.x)

        def read(self, indices):
            self.most = max(self.most, len(indices))
            return torch.from_numpy(self.x[list(indices)])[:, None]

    pieces = [Pieces(x) for x in sets]
    again = memtk.audit(*pieces, out=tmp_path / "run", **QUICK)
    assert again.audit.protocols == found.audit.protocols
    assert {images.most for images in pieces} == {1}


def test_the_package_shows_what_there_is():
    assert "audit" in dir(memtk) and "AuditResult" in dir(memtk)
    assert sorted(memtk.__all__) == dir(memtk)
    assert memtk.Policy is Policy
    for name in memtk.__all__:
        assert getattr(memtk, name) is not None


def test_asking_for_the_package_imports_no_torch():
    import subprocess
    import sys

    code = "import memtk, sys; print('audit' in dir(memtk), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"]
    assert memtk.audit.__name__ == "audit"
    with pytest.raises(AttributeError, match="nothing_such"):
        memtk.nothing_such  # noqa: B018
