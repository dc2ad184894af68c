from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import memtk
from memtk import UserError
from memtk.api.given import as_set
from memtk.results import Policy

pytestmark = pytest.mark.usefixtures("blank_figures")

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


def test_copies_are_named_by_their_rows_with_the_rows_they_were_made_from(found):
    assert {(pair.image, pair.nearest) for pair in found.copies()} >= {
        (row, row) for row in range(COPIED)
    }
    assert all(pair.flagged and pair.p <= 0.05 for pair in found.copies())
    assert len(found.copies(flagged=False)) == M
    assert {pair.image for pair in found.exposed()} >= set(range(COPIED))


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
    assert "Fail" in card and "reference rule (dar)" in card
    assert str(found.folder) not in card and ".npy" not in card
    assert card.count("<div") == card.count("</div>")


def test_the_report_is_copied_and_the_record_written(found, tmp_path):
    assert found.report(tmp_path / "a" / "page.html").read_bytes() == found.report().read_bytes()
    text = found.to_json(tmp_path / "audit.json")
    assert json.loads(text) == json.loads((found.folder / "audit.json").read_text())
    assert (tmp_path / "audit.json").read_text() == text + "\n"


def test_the_policy_decides(sets, found):
    keys = {"max_copy_rate": 0.99, "max_exposed_patients": 0.99, "min_sensitivity": 0.0}
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
    assert {pair.image for pair in found.copies(flagged=False)[:COPIED]} == set(range(COPIED))
    assert found.audit.counts["validation"].patients == V // 2
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_patients_are_counted_as_they_were_given(sets, tmp_path):
    found = memtk.audit(
        *sets, train_patients=[row // 2 for row in range(N)], out=tmp_path / "run", **QUICK
    )
    assert found.audit.counts["training"].patients == N // 2


REFUSED = [
    (lambda t, v, s: memtk.audit(t, v), "synthetic is missing"),
    (lambda t, v, s: memtk.audit(t, None, s), "validation is missing"),
    (lambda t, v, s: memtk.audit(t, v, s, train_patients=["a"]), "20 images and 1 patients"),
    (lambda t, v, s: memtk.audit(t.astype(str), v, s), "train: an array of <U"),
    (lambda t, v, s: memtk.audit(t[:0], v, s), "holds no images"),
    (lambda t, v, s: memtk.audit([[[1.0]], [[1.0, 2.0]]], v, s), "train: .*(shape|images)"),
    (lambda t, v, s: memtk.audit("t.csv", v, s, train_patients=["a"]), "goes with an array"),
    (lambda t, v, s: memtk.audit(t, v, s, plnts=3), "plnts.*Did you mean 'plants'"),
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


@pytest.mark.parametrize(
    ("shape", "kept"),
    [
        ((4, 8, 9), (4, 8, 9)),
        ((4, 1, 8, 9), (4, 8, 9)),
        ((4, 8, 9, 1), (4, 8, 9)),
        ((4, 3, 8, 9), (4, 8, 9, 3)),
        ((4, 8, 9, 3), (4, 8, 9, 3)),
        ((4, 7, 8, 9), (4, 7, 8, 9)),
        ((4, 1, 7, 8, 9), (4, 7, 8, 9)),
    ],
)
def test_channels_are_found_where_torch_and_where_files_have_them(shape, kept):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    images = as_set("train", x, None).images
    assert images.shape == kept and set(images.ravel()) == set(x.ravel())
    if kept[-1] == 3 and shape[1] == 3:
        assert np.array_equal(images[1, ..., 2], x[1, 2])


def test_asking_for_the_package_imports_no_torch():
    import subprocess
    import sys

    code = "import memtk, sys; assert 'torch' not in sys.modules; print(memtk.audit.__name__)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).stdout == b"audit\n"
    with pytest.raises(AttributeError, match="nothing_such"):
        memtk.nothing_such  # noqa: B018
