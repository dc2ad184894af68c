"""A column of the manifest that tells groups of patients apart."""

import pytest

from memtk.config import build
from memtk.data.checks.examination import examine
from memtk.data.checks.patients import STRATA
from memtk.data.checks.voxels import TWINS
from memtk.data.config import DataConfig
from memtk.errors import UserError

ROWS = (
    ("a", "P1", "train", "north"),
    ("b", "P2", "val", "south"),
    ("c", "P3", "train", "south"),
    ("d", "P4", "val", "north"),
    ("e", "P5", "test", ""),
)


@pytest.fixture
def write_sites(write_pngs, tmp_path):
    """Write PNGs and their manifest with the column site; return it."""

    def write(rows=ROWS):
        write_pngs([row[0] for row in rows])
        lines = [f"{name}.png,{patient},{split},{site}" for name, patient, split, site in rows]
        path = tmp_path / "images" / "manifest.csv"
        path.write_text("\n".join(["path,patient_id,split,Site", *lines]) + "\n")
        return path

    return write


def findings(source, registry, **keys):
    config = build(DataConfig, {"source": str(source), **keys}, where="data")
    return {f.check: f for f in examine(config, registry).findings}


def test_the_prepared_images_say_the_stratum_of_each(ready, write_sites):
    dataset, _ = ready(write_sites(), stratify="Site")
    training = dataset.split("training")
    assert training.strata == ("north", "south") and training.patients == ("P1", "P3")
    assert training.subset([1]).strata == ("south",)
    assert dataset.split("validation").strata == ("south", "north")
    assert dataset.split("held_out").strata == ("",)  # nothing is compared with them alone
    assert dataset.recipe()["stratify"] == "site"


def test_synthetic_images_need_no_stratum(ready, write_sites, write_pngs, tmp_path):
    made = write_pngs(["x", "y"], tmp_path / "made", seed=1)
    dataset, _ = ready(write_sites(), stratify="site", synthetic_source=str(made))
    assert dataset.split("synthetic").strata == ("", "")


def test_without_the_key_nothing_changes(ready, write_sites):
    path = write_sites()
    plain, _ = ready(path)
    assert plain.split("training").strata == () and "stratify" not in plain.recipe()
    assert "stratify" not in plain.config.model_dump()
    assert (
        "stratify"
        in build(DataConfig, {"source": "a", "stratify": "site"}, where="data").model_dump()
    )


def test_the_fingerprint_follows_the_strata(ready, write_sites):
    prints = {ready(write_sites())[0].fingerprint}
    prints.add(ready(write_sites(), stratify="site")[0].fingerprint)
    moved = [(*ROWS[0][:3], "south"), *ROWS[1:]]
    prints.add(ready(write_sites(moved), stratify="site")[0].fingerprint)
    assert len(prints) == 3
    assert ready(write_sites(moved))[0].fingerprint in prints  # the column is not read


def test_a_column_that_is_not_there_is_refused(ready, write_sites, write_pngs, tmp_path):
    with pytest.raises(UserError, match="no such column; the manifest has site.*Did you mean"):
        ready(write_sites(), stratify="sites")
    folder = write_pngs([f"p{i}" for i in range(9)], tmp_path / "folder")
    with pytest.raises(UserError, match="come without columns.\nName the images in a manifest"):
        ready(folder, stratify="site")
    with pytest.raises(UserError, match="phantoms have none"):
        ready("phantom2d", stratify="site")
    with pytest.raises(UserError, match="a further column"):
        ready(write_sites(), stratify="split")


@pytest.mark.parametrize("value", ["", "n/a", "unknown"])
def test_an_image_without_a_value_is_refused_with_its_name(ready, write_sites, value):
    rows = [*ROWS[:2], ("c", "P3", "train", value), *ROWS[3:]]
    with pytest.raises(UserError, match="1 of 4 training and validation images have no value") as e:
        ready(write_sites(rows), stratify="site")
    assert "c.png" in str(e.value) and "Fill the column" in str(e.value)


@pytest.mark.parametrize("other", ["North", "NORTH ", "nor th", "Ｎorth", "north_"])
def test_one_group_in_two_spellings_is_refused(ready, write_sites, other):
    rows = [row if row[0] != "d" else (*row[:3], other) for row in ROWS]
    with pytest.raises(
        UserError, match="data.stratify = site: 'north' and .* in several spellings"
    ):
        ready(write_sites(rows), stratify="site")


@pytest.mark.parametrize(
    "others", [("1.0", "2.0"), ("north+", "north-"), ("n1", "n01"), ("1_1", "11")]
)
def test_groups_that_differ_in_more_are_groups(ready, write_sites, others):
    pairs = zip(ROWS, [*others, *others, ""], strict=True)
    assert ready(write_sites([(*row[:3], site) for row, site in pairs]), stratify="site")


def test_the_check_says_the_patients_of_each_stratum(write_sites, registry):
    found = findings(write_sites(), registry, stratify="site")[STRATA]
    assert found.outcome == "accepted"
    assert found.found == (
        "patients by site: north: 1 training, 1 validation; south: 1 training, 1 validation"
    )
    rows = [*ROWS[:3], ("d", "P4", "val", "south"), ROWS[4]]
    found = findings(write_sites(rows), registry, stratify="site")[STRATA]
    assert found.outcome == "note" and found.names == ("north",)
    assert "Nothing can be compared within north" in found.way_out
    assert STRATA not in findings(write_sites(rows), registry)


@pytest.mark.parametrize(
    ("split", "said"), [("train", "training"), ("val", "validation"), ("test", "held out")]
)
def test_one_image_under_two_patients_of_a_split_is_refused(
    ready, write_sites, registry, split, said
):
    rows = [*ROWS, ("f", "P6", split, "north"), ("g", "p-6", split, "north")]
    path = write_sites(rows)
    assert findings(path, registry)[TWINS].outcome == "accepted"
    folder = path.parent
    (folder / "g.png").write_bytes((folder / "f.png").read_bytes())
    found = findings(path, registry)[TWINS]
    assert found.outcome == "refused" and found.names == ("f.png", "g.png")
    assert found.found == (
        f"identical images of different {said} patients (1): "
        "f.png (patient P6) = g.png (patient p-6)"
    )
    with pytest.raises(UserError, match="identical images of different"):
        ready(path)


def test_one_patient_may_have_an_image_twice(write_sites, registry):
    path = write_sites([*ROWS, ("f", "P6", "val", "north"), ("g", "P6", "val", "north")])
    (path.parent / "g.png").write_bytes((path.parent / "f.png").read_bytes())
    assert findings(path, registry)[TWINS].outcome == "accepted"


@pytest.mark.parametrize(("where", "outcome"), [("train", "accepted"), ("val", "refused")])
def test_of_nobodys_images_those_of_the_yardstick_may_not_be_there_twice(
    write_pngs, tmp_path, registry, where, outcome
):
    for seed, name in enumerate(("train", "val")):
        write_pngs(["x", "y", "z"], tmp_path / name, seed=seed)
    (tmp_path / where / "y.png").write_bytes((tmp_path / where / "x.png").read_bytes())
    beside = {"validation_source": str(tmp_path / "val")}
    found = findings(tmp_path / "train", registry, **beside)[TWINS]
    assert found.outcome == outcome and "patient " not in found.found
