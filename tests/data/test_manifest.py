import gc

import numpy as np
import pytest

from memtk.data.config import DataConfig
from memtk.data.manifest import read_manifest
from memtk.data.readers import Readers
from memtk.errors import UserError


@pytest.fixture
def read(registry):
    def run(path, **keys):
        config = DataConfig(source=str(path), **keys)
        return read_manifest(path, config, Readers(registry)).rows

    return run


def test_the_columns_are_read_and_the_others_kept(read, write_manifest):
    text = (
        "\ufeffPath, Patient_ID ,split,age\na.png,P1,train,70\n\nb.png,P2,Valid,\nc.png,P3,test,5\n"
    )
    rows = read(write_manifest([("a",), ("b",), ("c",)], text))
    assert [r.patient for r in rows] == ["P1", "P2", "P3"]
    assert [r.split for r in rows] == ["training", "validation", "held_out"]
    assert rows[0].extra == {"age": "70"} and [r.line for r in rows] == [2, 4, 5]
    assert [r.record.path.name for r in rows] == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("collecting", [True, False])
def test_the_collector_is_paused_and_left_as_it_was(read, write_manifest, collecting):
    path = write_manifest([("a",)], "path,patient_id\na.png,P1\n")
    (gc.enable if collecting else gc.disable)()
    try:
        read(path)
        assert gc.isenabled() == collecting
        path.write_text("path\n")
        with pytest.raises(UserError):
            read(path)
        assert gc.isenabled() == collecting
    finally:
        gc.enable()


def test_paths_are_relative_to_the_manifest_or_absolute(read, write_pngs, tmp_path):
    folder = write_pngs(["x/a", "b"])
    csv = folder / "x" / "list.csv"
    csv.write_text(f"path,patient_id\na.png,1\n{folder / 'b.png'},2\n../b.png,3\n")
    assert [r.record.path.resolve() for r in read(csv)] == [
        folder / "x" / "a.png",
        folder / "b.png",
        folder / "b.png",
    ]


def test_an_image_of_a_file_with_many_is_named_by_the_column_item(read, tmp_path):
    np.savez(tmp_path / "m.npz", images=np.zeros((3, 8, 8)))
    csv = tmp_path / "list.csv"
    csv.write_text("path,patient_id,item\nm.npz,1,images/2\nm.npz,1,images/0\n")
    assert [r.record.item for r in read(csv)] == ["images/2", "images/0"]
    assert read(csv)[0].name.endswith("m.npz (images/2)")
    csv.write_text("path,patient_id\nm.npz,1\n")
    with pytest.raises(UserError, match="holds 3 images: add a column 'item', as in images/0"):
        read(csv)
    csv.write_text("path,patient_id,item\nm.npz,1,images/3\n")
    with pytest.raises(UserError, match="line 2: .*has no image 'images/3'"):
        read(csv)


HEAD = "path,patient_id,split\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "is empty: expected a line with path,patient_id,split"),
        (HEAD, "names no images"),
        ("file,patient_id\na.png,1\n", "no column 'path'; it has file, patient_id"),
        ("pathh,patient_id\na.png,1\n", "Rename 'pathh' to 'path'"),
        ("path;patient_id\na.png;1\n", "Separate the columns by commas"),
        ("path,split\na.png,train\n", "no column 'patient_id'; it has path, split"),
        ("path,path,patient_id\na.png,a.png,1\n", "has the column 'path' twice"),
        (HEAD + "a.png,1,train\na.png,1,dev\n", "line 3: the split 'dev' is unknown"),
        (HEAD + "a.png,1,trian\n", "Did you mean 'train"),
        (HEAD + "a.png,1,\n", "line 2: the split is empty"),
        (HEAD + "a.png,,train\n", "line 2: the patient_id is empty"),
        (HEAD + ",1,train\n", "line 2: the path is empty"),
        (HEAD + "gone.png,1,train\n", "line 2: there is no file .*gone.png"),
        (HEAD + "a.png,1\n", "line 2 has 2 cells, the header 3"),
        (HEAD + 'a.png,"1,train\n', "not valid CSV at line 2"),
        (HEAD + "a.png,1,train\n./a.png,1,train\n", r"names 1 image twice: .*lines 2 and 3"),
        (HEAD + "list.csv,1,train\n", "line 2: .*list.csv is of an unknown format"),
    ],
)
def test_a_faulty_manifest_is_refused_by_line(read, write_manifest, text, message):
    with pytest.raises(UserError, match=message) as caught:
        read(write_manifest([("a",)], text))
    assert "list.csv" in str(caught.value)


def test_all_faulty_lines_are_counted_and_the_first_are_named(read, write_manifest):
    text = HEAD + "".join(f"gone{i}.png,1,train\n" for i in range(9))
    with pytest.raises(UserError) as caught:
        read(write_manifest([("a",)], text))
    assert str(caught.value).count("there is no file") == 5
    assert str(caught.value).endswith("\nand 4 more")


def test_a_manifest_that_is_no_text_or_missing_is_refused(read, tmp_path):
    (tmp_path / "x.csv").write_bytes(b"path,patient_id\n\xff\xfe,1\n")
    with pytest.raises(UserError, match="not a text file in UTF-8"):
        read(tmp_path / "x.csv")
    with pytest.raises(UserError, match="cannot read .*gone.csv: there is no such file"):
        read(tmp_path / "gone.csv")


def test_the_patient_is_read_out_of_the_file_name(read, write_manifest):
    path = write_manifest([("p7_1",), ("p8_1",)], "path,split\np7_1.png,train\np8_1.png,val\n")
    assert [r.patient for r in read(path, patient_pattern=r"p(\d)_")] == ["7", "8"]
    with pytest.raises(UserError, match="line 2: data.patient_pattern finds nothing in p7_1.png"):
        read(path, patient_pattern=r"q(\d)_")
    both = write_manifest([("p7_1",)], "path,patient_id\np7_1.png,1\n")
    with pytest.raises(UserError, match="leave one out"):
        read(both, patient_pattern=r"p(\d)_")


@pytest.mark.parametrize("pattern", [r"(\d)", r"^p(\d)", r"site1/p(\d)", r"^site1/.(.)"])
def test_a_pattern_sees_the_file_however_its_row_is_written(read, write_pngs, pattern):
    csv = write_pngs(["site1/p7_1", "site1/p8_1"]) / "list.csv"
    csv.write_text("path,split,\nsite1\\p7_1.png,train,\n,,\n site1/p8_1.png , val,\n")
    assert [r.patient for r in read(csv, patient_pattern=pattern)] == ["7", "8"]
