from __future__ import annotations

import numpy as np
import pytest

from memtk.auditing import make_audit_plan
from memtk.errors import UserError


@pytest.fixture
def data(files):
    return {"source": str(files / "manifest.csv"), "synthetic_source": str(files / "made")}


def test_the_copy_detector_follows_from_the_images(data, files, registry, tmp_path):
    assert make_audit_plan(registry, {}, data=data).embedder.name == "ntxent2d"
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(2, 12, 12, 12)))
    volumes = make_audit_plan(registry, {}, data={"source": str(tmp_path / "a.npy")})
    assert volumes.embedder.name == "ntxent3d"


def test_an_audit_uses_the_preset_made_for_it_where_there_is_one(data, registry):
    plan = make_audit_plan(registry, {}, data=data)
    assert plan.preset == ("audit" if "audit" in plan.embedder.cls.presets else "demo")
    assert make_audit_plan(registry, {"preset": "smoke"}, data=data).preset == "smoke"


def test_settings_come_from_file_and_command_line_the_latter_winning(data, registry, tmp_path):
    (tmp_path / "a.toml").write_text(
        "[audit]\nplants = 7\n[embedder]\nembedding = 16\n[embedder.training]\nsteps = 9\n"
    )
    plan = make_audit_plan(
        registry,
        {"seed": 3},
        data=data,
        config=tmp_path / "a.toml",
        sets=["ntxent2d.training.steps=4", "data.percentiles=1,99"],
    )
    assert (plan.options.plants, plan.options.seed) == (7, 3)
    assert (plan.embedder.config.embedding, plan.embedder.config.training.steps) == (16, 4)
    assert plan.data.percentiles == (1, 99)


def test_all_that_the_numbers_depend_on_is_in_the_identity(data, registry):
    one = make_audit_plan(registry, {}, data=data).identity()
    for asked, sets in (({"seed": 1}, []), ({}, ["embedder.embedding=16"])):
        assert make_audit_plan(registry, asked, data=data, sets=sets).identity() != one


@pytest.mark.parametrize(
    "asked, sets, words",
    [
        ({"similarity": "ncc", "embedder": "ntxent2d"}, [], "compares the images themselves"),
        ({"similarity": "ncc", "weights": "a.pt"}, [], "leave out --weights"),
        ({"similarity": "ncc", "preset": "audit"}, [], "leave out --preset"),
        ({"similarity": "ncc", "preset": "nope"}, [], "leave out --preset"),
        ({"similarity": "ncc", "preset": "a", "weights": "a.pt"}, [], "--weights, --preset, or"),
        ({}, ["data.shap=3"], "Did you mean 'shape'"),
        ({}, ["embeder.width=3"], "unknown key 'embeder'"),
        ({}, ["audit.plant=3"], "unknown key 'audit.plant'"),
        ({}, ["seed=3"], "expected keys below it"),
        ({"embedder": "ntxent2"}, [], "ntxent2d"),
        ({"preset": "hug"}, [], "no preset 'hug'"),
        ({"alpha": 2}, [], "audit.alpha"),
        ({"alpha": 0.1}, ["audit.alpha=0.1"], "audit.alpha is said twice"),
        *(({}, [f"{table}=3"], f"{table} = 3: expected keys") for table in ("audit", "data")),
    ],
)
def test_what_contradicts_itself_or_is_unknown_is_refused(data, registry, asked, sets, words):
    with pytest.raises(UserError, match=words):
        make_audit_plan(registry, asked, data=data, sets=sets)


def test_an_embedder_for_volumes_is_refused_for_pictures(data, registry):
    from memtk.interfaces import ImageSpec

    plan = make_audit_plan(registry, {"embedder": "ntxent3d"}, data=data)
    with pytest.raises(UserError, match="'ntxent3d' works on 3D images; the data are 2D"):
        plan.check_dims(ImageSpec((24, 24)), registry)


def test_a_source_that_does_not_say_what_was_trained_on_is_refused(files, registry):
    data = {"source": str(files / "train"), "synthetic_source": str(files / "made")}
    with pytest.raises(UserError, match="does not say which of its images.*40 images"):
        make_audit_plan(registry, {}, data=data)
    with pytest.raises(UserError, match="which images was the generator trained on"):
        make_audit_plan(registry, {}, data={"synthetic_source": str(files / "made")})
