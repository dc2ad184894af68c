from __future__ import annotations

import sys
import zipfile
from importlib.metadata import entry_points

import pytest

from memtk.discovery import Distribution, Point, find_points


def install(folder, name, points, version="1.0", metadata=None):
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nSome text: of its own\n"
    (info / "METADATA").write_text(text if metadata is None else metadata)
    if points is not None:
        (info / "entry_points.txt").write_text(points)


@pytest.mark.parametrize("group", ["memtk", "console_scripts", "pytest11"])
def test_it_finds_what_importlib_finds(group):
    found = {(p.name, p.value, p.dist.name, p.dist.version) for p in find_points(group)}
    assert found == {
        (p.name, p.value, p.dist.name, p.dist.version) for p in entry_points(group=group)
    }


def test_the_section_of_the_group_alone_is_read(tmp_path):
    points = "[other]\na = b\n[memtk]\n# no = comment\n mine = my_module \n\n[third]\nc = d\n"
    install(tmp_path, "my-package", points, "2.1")
    install(tmp_path, "plain", None)
    expected = [Point("mine", "my_module", Distribution("my-package", "2.1"))]
    assert find_points("memtk", [str(tmp_path)]) == expected


def test_of_a_package_found_twice_the_first_counts(tmp_path):
    install(tmp_path / "a", "My.Package", "[memtk]\nmine = first\n")
    install(tmp_path / "b", "my-package", "[memtk]\nmine = second\n")
    path = [str(tmp_path / "a"), str(tmp_path / "nowhere"), str(tmp_path / "b")]
    assert [p.value for p in find_points("memtk", path)] == ["first"]


def test_damaged_metadata_leave_the_name_of_the_folder(tmp_path):
    install(tmp_path, "my-package", "[memtk]\nmine = m\n", metadata="")
    (point,) = find_points("memtk", [str(tmp_path)])
    assert point.dist == Distribution("my_package", "1.0")


def test_a_file_on_the_path_is_left_to_importlib(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as file:
        file.writestr("packed-1.0.dist-info/METADATA", "Name: packed\nVersion: 1.0\n")
        file.writestr("packed-1.0.dist-info/entry_points.txt", "[memtk]\npacked = packed_one\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "packed.zip")])
    assert "packed_one" in {p.value for p in find_points("memtk")}


def test_a_point_loads_a_module_or_an_attribute():
    assert Point("a", "json.decoder").load().__name__ == "json.decoder"
    assert Point("a", "json.decoder:JSONDecoder.decode").load().__name__ == "decode"
    with pytest.raises(ValueError, match="Invalid object reference 'not a module!'"):
        Point("a", "not a module!").load()
