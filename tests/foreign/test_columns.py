"""Columns of other people's tables: their names, their splits, what spreadsheets made of cells."""

from __future__ import annotations

import pytest

FOUND = "images are found"
SPLITS = ["train", "train", "train", "val", "Valid"]


@pytest.fixture
def table(tmp_path, png, check):
    """Check five images by a table: `table("path,patient_id", lambda n: f"{n}.png,{n}")`."""
    for n in range(5):
        png(tmp_path / "im" / f"img_{n}.png", n)

    def run(header, line, **keys):
        path = tmp_path / "m.csv"
        path.write_text("\n".join([header, *map(line, range(5))]))
        groups, found = check(path, **keys)
        return {name: g.images for name, g in groups.items() if g.images}, found[FOUND]

    return run


@pytest.mark.parametrize("name", ["subset", "Set", "phase", "partition", "data_split", "x"])
def test_a_split_in_a_column_of_another_name_is_not_lost(table, name):
    _, found = table(f"path,patient_id,{name}", lambda n: f"im/img_{n}.png,{n},{SPLITS[n]}")
    assert found.outcome == "refused" and "rename it to 'split'" in found.found
    assert f"says splits in '{name.lower()}'" in found.found


@pytest.mark.parametrize(
    "name",
    [
        *(
            "patient_id.1",
            "PatientID",
            "Patient ID",
            "patient_id_y",
            "patient_id.x",
            "patient_id_2",
        ),
        *("patient_id...5", "patient_id_right", "patient_id_duplicated_0"),
    ],
)
def test_two_columns_of_patients_are_refused_where_they_differ(table, name):
    header = f"path,patient_id,split,{name}"
    groups, found = table(header, lambda n: f"im/img_{n}.png,{n},{SPLITS[n]},P{n % 4}")
    assert found.outcome == "refused" and not groups
    assert f"has the columns 'patient_id' and {name.lower()!r}, and they differ" in found.found
    groups, found = table(header, lambda n: f"im/img_{n}.png,{n},{SPLITS[n]},00{n}.0")
    assert found.outcome != "refused" and groups == {"training": 3, "validation": 2}


@pytest.mark.parametrize(("name", "cell"), [("path.1", "x.png"), ("split.2", "val"), ("item.x", 1)])
def test_two_columns_of_paths_splits_and_items_are_refused_where_they_differ(table, name, cell):
    line = "im/img_{0}.png,{0},{1},,{2}".format
    found = table(f"path,patient_id,split,item,{name}", lambda n: line(n, SPLITS[n], cell))[1]
    assert found.outcome == "refused" and f"and '{name}', and they differ" in found.found


@pytest.mark.parametrize("name", ["patient_idx", "split_1", "path2", "patient_age", "items"])
def test_a_column_of_another_meaning_is_no_second_one(table, name):
    line = "im/img_{0}.png,{0},{1},7".format
    groups, found = table(f"path,patient_id,split,{name}", lambda n: line(n, SPLITS[n]))
    assert found.outcome != "refused" and groups == {"training": 3, "validation": 2}


@pytest.mark.parametrize(
    ("numbers", "refused"),
    [
        ([110101199003070000 + 1000 * n for n in range(5)], True),
        ([f"{1234567890123450 + 10 * n}.0" for n in range(4)] + ["P7"], True),
        (["12345678901234500000"] * 3 + ["12345678901234600000"] * 2, True),
        ([110101199003070000 + 1011 * n for n in range(5)], False),
        (["110101199003070000", "P1", "P2", "P3", "P4"], False),
        ([100000000000000 + n for n in range(5)], False),
    ],
)
def test_long_numbers_of_which_a_spreadsheet_kept_15_digits_are_refused(table, numbers, refused):
    found = table("path,patient_id,split", lambda n: f"im/img_{n}.png,{numbers[n]},{SPLITS[n]}")[1]
    assert (found.outcome == "refused") == refused
    assert ("have 15 digits and zeros behind them" in found.found) == refused


@pytest.mark.parametrize("name", ["XXXX", "xxxxxxxx", "XXX-XX", "Xxx^Xxxx"])
def test_a_name_of_the_letter_x_is_nobodys(table, name):
    found = table("path,patient_id", lambda n: f"im/img_{n}.png,{name if n < 2 else n}")[1]
    assert found.outcome == "refused" and "names nobody" in found.found


@pytest.mark.parametrize(
    ("cells", "refused"), [(("train", "test"), False), (("train", "synthetic"), True)]
)
def test_only_what_tells_synthetic_images_from_real_ones_is_a_split_of_theirs(
    tmp_path, png, check, cells, refused
):
    for n in range(6):
        png(tmp_path / "tvs"[n // 2] / f"{n}.png", n)
    (tmp_path / "s.csv").write_text(f"path,of\ns/4.png,{cells[0]}\ns/5.png,{cells[1]}\n")
    sources = {"validation_source": tmp_path / "v", "synthetic_source": tmp_path / "s.csv"}
    found = check(tmp_path / "t", **{key: str(path) for key, path in sources.items()})[1][FOUND]
    assert ("rename it to 'split'" in found.found) == (found.outcome == "refused") == refused
    assert "resplit" not in found.found  # it would mix training and validation images


def test_of_the_columns_of_several_folds_one_is_to_be_renamed(table):
    def line(n):
        return f"im/img_{n}.png,{n},{SPLITS[n]},{SPLITS[4 - n]}"

    assert (
        "says splits in one of fold_0, fold_1"
        in table("path,patient_id,fold_0,fold_1", line)[1].found
    )


def test_a_split_of_another_name_is_not_asked_for_where_all_are_split_anew(table):
    def line(n):
        return f"im/img_{n}.png,{n},{SPLITS[n]}"

    assert table("path,patient_id,subset", line, resplit=True)[0] == {
        "training": 4,
        "validation": 1,
    }


@pytest.mark.parametrize(
    "cells", [["train"] * 5, ["train", "val", "ap", "pa", "pa"], [""] * 5, range(5)]
)
def test_columns_that_say_no_two_splits_are_columns_like_others(table, cells):
    groups, _ = table("path,patient_id,set", lambda n: f"im/img_{n}.png,{n},{cells[n]}")
    assert groups == {"training": 4, "validation": 1}


@pytest.mark.parametrize("header", ["path;patient_id;split", "Path\tpatient_id", "patient_id|path"])
def test_a_manifest_of_a_folder_in_other_signs_is_not_left_alone(tmp_path, png, check, header):
    png(tmp_path / "a.png", 1)
    (tmp_path / "manifest.csv").write_text(f"{header}\na.png;1;train\n")
    found = check(tmp_path)[1][FOUND]
    assert found.outcome == "refused" and "Separate the columns by commas" in found.found


@pytest.mark.parametrize(
    ("name", "words"),
    [("Aufteilung", ["Training", "Validierung"]), ("ensemble", ["entraînement", "test"]),
     ("conjunto", ["entrenamiento", "validación"]), ("划分", ["训练", "验证"]),
     ("x", ["訓練", "テスト"])],
)  # fmt: skip
def test_a_split_in_another_language_is_not_lost(table, name, words):
    def line(n):
        return f"im/img_{n}.png,{n},{words[n > 2]}"

    found = table(f"path,patient_id,{name}", line)[1]
    assert found.outcome == "refused" and f"says splits in '{name.lower()}'" in found.found
    assert table(f"path,patient_id,{name}", line, resplit=True)[0]["training"] == 4


@pytest.mark.parametrize("words", [["prueba", "nada"], ["training", "train"], ["тест", "тест"]])
def test_words_that_say_no_two_splits_in_any_language_are_cells_like_others(table, words):
    groups, _ = table("path,patient_id,x", lambda n: f"im/img_{n}.png,{n},{words[n > 2]}")
    assert groups == {"training": 4, "validation": 1}


@pytest.mark.parametrize(
    "day", ["2012-03-12", "12.03.2012", "3/12/2012", "12-Mar-2012", "12. Mrz 12"]
)
def test_days_among_other_names_of_patients_were_made_of_names(table, day):
    _, found = table("path,patient_id", lambda n: f"im/img_{n}.png,{day if n == 3 else f'13-{n}'}")
    assert (
        found.outcome == "refused"
        and f"1 of the patients have a day for a name, {day}" in found.found
    )


def test_days_with_an_hour_were_made_of_names_whatever_the_others_are(table):
    _, found = table("path,patient_id", lambda n: f"im/img_{n}.png,2012-03-0{n + 1} 00:00:00")
    assert found.outcome == "refused" and "5 of the patients have a day" in found.found


@pytest.mark.parametrize(
    "name", ["2012-03-0{}", "13-34-567{}", "1{}.25", "3-1{}", "13-35-{}899", "01-00-{}990"]
)
def test_names_like_days_are_names_where_all_are_alike(table, name):
    assert table("path,patient_id", lambda n: f"im/img_{n}.png,{name.format(n + 1)}")[0]


def test_nobody_is_asked_whose_a_synthetic_image_of_a_manifest_is(table):
    def line(n):
        return f"im/img_{n}.png,{'' if n == 4 else n},{'synthetic' if n == 4 else SPLITS[n]}"

    groups, found = table("path,patient_id,split", line)
    assert groups == {"training": 3, "validation": 1} and "1 synthetic image" in found.found


@pytest.mark.parametrize(
    ("path", "words"),
    [("img_{}.png", "of img_0.png there is im/img_0.png: name that"),
     ("im/img_{}", "there is im/img_0.png"), ("im/img_{}.dcm", "there is im/img_0.png"),
     ("IM/IMG_{}.PNG", "there is im/img_0.png"), ("C:\\x\\img_{}.png", "there is im/img_0.png"),
     ("$DATA/im/img_{}.png", "a variable of a shell"), ("%DATA%/img_{}.png", "a variable"),
     ("file:///im/img_{}.png", "without file://")],
)  # fmt: skip
def test_a_path_that_is_nearly_right_comes_with_the_right_one(table, path, words):
    _, found = table("path,patient_id", lambda n: f"{path.format(n)},{n}")
    assert found.outcome == "refused" and words in found.found


def test_of_several_files_of_one_name_none_is_said_for_another_patients(tmp_path, png, check):
    for n in range(4):
        png(tmp_path / f"p{n}/slice.png", n)
    (tmp_path / "m.csv").write_text("path,patient_id\np9/slice.png,9\n")
    assert "In the place" not in check(tmp_path / "m.csv")[1][FOUND].found
    (tmp_path / "m.csv").write_text("path,patient_id\np2/SLICE.dcm,2\n")
    assert "there is p2/slice.png" in check(tmp_path / "m.csv")[1][FOUND].found


def test_a_name_of_numbers_and_dots_is_not_taken_for_another(table):
    assert "In the place" not in table("path,patient_id", lambda n: f"img_{n}.2.840.1,{n}")[1].found


def test_a_path_below_home_is_read(table, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert table("path,patient_id", lambda n: f"~/im/img_{n}.png,{n}")[0]


@pytest.mark.parametrize("header", ["# exported by me", "im/img_9.png,9"])
def test_a_first_line_that_names_no_columns_comes_with_the_way_out(table, header):
    assert "put one above it" in table(header, lambda n: f"im/img_{n}.png,{n}")[1].found


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [("is_train", "True", "False"), ("train", "1", "0"), ("in test set", "x", ""),
     ("fold", "0", "1"), ("cv_fold", "fold1", "fold2"), ("split1", "1.0", "2.0"),
     ("is_synthetic", "no", "yes"), ("real", "1", "0")],
)  # fmt: skip
def test_a_split_said_by_yes_and_no_or_by_numbers_is_not_lost(table, name, yes, no):
    def line(n):
        return f"im/img_{n}.png,{n},{yes if n < 3 else no}"

    found = table(f"path,patient_id,{name}", line)[1]
    assert found.outcome == "refused" and f"says splits in '{name}'" in found.found
    assert table(f"path,patient_id,{name}", line, resplit=True)[0]["training"] == 4


@pytest.mark.parametrize(
    ("name", "cells"),
    [("pcr_test", "01010"), ("train", "11111"), ("fold", "22222"), ("training_hours", "01234"),
     ("smoker", "01010"), ("folds", "abcde"), ("validated", "yynny")],
)  # fmt: skip
def test_answers_to_other_questions_are_columns_like_others(table, name, cells):
    groups, _ = table(f"path,patient_id,{name}", lambda n: f"im/img_{n}.png,{n},{cells[n]}")
    assert groups == {"training": 4, "validation": 1}


def test_rows_with_numbers_that_no_column_names_come_with_the_way_out(table):
    found = table("path,patient_id", lambda n: f'"{n}",im/img_{n}.png,{n}')[1]
    assert found.outcome == "refused" and "R writes the numbers of rows so" in found.found
    assert "R writes" not in table("path,patient_id", lambda n: "a,b,c,d"[: 3 + 2 * n])[1].found


@pytest.mark.parametrize("header", [",path,patient_id", ",,path,patient_id", "path,,,patient_id"])
def test_columns_without_a_name_are_columns_like_others(table, header):
    place = header.split(",").index("path")

    def line(n):
        cells = [str(n)] * (header.count(",") + 1)
        cells[place] = f"im/img_{n}.png"
        return ",".join(cells)

    assert table(header, line)[0] == {"training": 4, "validation": 1}


@pytest.mark.parametrize(
    "name",
    ["a%20b {}.png", "a b%20{}.png", "a%20b%20{}%2Epng", "a b {}.png",  # addresses
     '"""a b {}.png"""', '"=""a b {}.png"""', "'a b {}.png'", "='a b {}.png'"],  # spreadsheets
)  # fmt: skip
def test_a_path_as_addresses_and_spreadsheets_write_it_is_read(tmp_path, png, check, name):
    for n in range(3):
        png(tmp_path / f"a b {n}.png", n)
    rows = "".join(f"{name.format(n)},{n}\n" for n in range(3))
    (tmp_path / "m.csv").write_text(f"path,patient_id\n{rows}")
    assert check(tmp_path / "m.csv", validation=0)[0]["training"].images == 3


def test_an_image_of_several_rows_comes_with_the_way_out(table):
    found = table("path,patient_id", lambda n: f"im/img_{n // 2}.png,{n // 2}")[1].found
    assert "names 2 images twice" in found and "Keep one line of each" in found


FIVE = "".join(f"im/img_{n}.png,{n}\n" for n in range(5))


@pytest.mark.parametrize(
    "content",
    ["path,patient_id\n" + FIVE + "\x1a", "path,patient_id\n" + FIVE + "\r\n\x1a\r\n",
     "path,patient_id\n" + FIVE.replace("\n", ",\n"), "path,patient_id\n" + FIVE + ",,,\n",
     "path,patient_id\n" + FIVE.replace("\n", ", ,\n", 2)],
    ids=["end of DOS", "on its own line", "a comma behind each", "empty cells", "behind some"],
)  # fmt: skip
def test_what_programs_write_behind_lines_and_tables_is_nothing(table, tmp_path, check, content):
    table("path,patient_id", lambda n: f"im/img_{n}.png,{n}")
    (tmp_path / "m.csv").write_text(content)
    assert check(tmp_path / "m.csv", validation=0)[0]["training"].images == 5


def test_a_cell_that_says_something_behind_the_columns_is_not_dropped(table):
    _, found = table("path,patient_id", lambda n: f"im/img_{n}.png,{n}" + ",x" * (n == 3))
    assert "line 5 has 3 cells, the header 2" in found.found


@pytest.mark.parametrize(
    "above", ["# made by X", "Study 17,", "File,Patient", "Export\n\n2024-03-01"]
)
def test_lines_above_the_names_of_columns_come_with_the_way_out(table, above):
    _, found = table(f"{above}\npath,patient_id", lambda n: f"im/img_{n}.png,{n}")
    said = "A line further down names the columns: take the lines above it out"
    assert found.outcome == "refused" and said in found.found


@pytest.mark.parametrize("mark", ["^", "~", " ", ":", "\t", " | "])
def test_columns_parted_by_any_other_sign_come_with_the_way_out(table, tmp_path, check, mark):
    header = f"path{mark}patient_id{mark}split"
    _, found = table(header, lambda n: f"im/img_{n}.png{mark}{n}{mark}train")
    assert "Separate the columns by commas" in found.found
    (tmp_path / "m.csv").rename(tmp_path / "manifest.csv")
    assert "Separate the columns by commas" in check(tmp_path)[1][FOUND].found


def test_a_web_page_in_the_place_of_a_table_is_called_one(table):
    _, found = table("<html><body>Sign in</body></html>", str)
    assert "m.csv is no list of images: it is a web page" in found.found


HOURS = ["2019-03-0{n} 10:22:00", "2019-03-0{n}T10:22:00Z", "3/{n}/2019 8:05 PM",
         "0{n}.03.2019 14:07", "2019-03-0{n} 10:22:00.123+01:00"]  # fmt: skip


@pytest.mark.parametrize("name", HOURS)
def test_patients_named_by_the_hour_of_an_examination_are_said(table, name):
    groups, found = table("path,patient_id", lambda n: f"im/img_{n}.png,{name.format(n=n + 1)}")
    assert sum(groups.values()) == 5
    assert "named by a day and an hour: if these are of examinations" in found.found
    assert "2019" not in found.found


@pytest.mark.parametrize(
    "name", ["2019-0{n}", "20190301{n}", "10:0{n}", "A 10:22:0{n}", "1551{n}.0"]
)
def test_names_that_are_no_hour_of_a_day_are_names(table, name):
    _, found = table("path,patient_id", lambda n: f"im/img_{n}.png,{name.format(n=n + 1)}")
    assert found.outcome == "note" and "an hour" not in found.found


@pytest.mark.parametrize(
    "hour", [" 00:00:00.000", "T00:00:00Z", " 00:00:00+00:00", " 12:00:00 AM", " 0:00"]
)
def test_a_day_with_the_hour_0_in_any_form_was_made_of_a_name(table, hour):
    _, found = table("path,patient_id", lambda n: f"im/img_{n}.png,2012-03-{n + 10}{hour}")
    assert found.outcome == "refused" and "have a day for a name" in found.found
