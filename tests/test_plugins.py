from __future__ import annotations

import sys
import zipfile
from importlib.metadata import EntryPoint, entry_points

import pytest

from memtk.plugins import Distribution, Point, find_points, load_plugins
from memtk.registry import Registry

GOOD = """
    @hookimpl
    def memtk_generators():
        return [Component("{0}", "{0}.model:Model", "A model.")]
"""


def statuses(host):
    return {plugin.name: plugin.status for plugin in host.plugins}


def reason(host, name):
    return next(plugin.reason for plugin in host.plugins if plugin.name == name)


def test_a_plugin_is_known_by_its_own_package_and_version(write_plugin):
    (plugin,) = load_plugins([write_plugin("blob", package="my-blobs", version="2.3")], {}).plugins
    assert (plugin.name, plugin.distribution, plugin.version) == ("blob", "my-blobs", "2.3")
    assert plugin.module.startswith("blob_") and plugin.status == "active" and not plugin.reason


def test_the_built_in_plugins_are_plugins_like_any_other():
    host = load_plugins(environ={})
    built_in = {p.name for p in host.plugins if p.distribution == "memtk"}
    assert {"toy", "mitigations", "monai", "contrastive", "measures", "files"} <= built_in


BROKEN = {
    "raises": ("raise RuntimeError('two\\nlines   here')", "RuntimeError: two lines here"),
    "silent": ("raise KeyError", "KeyError"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "missing": ("import no_such_module", "No module named 'no_such_module'"),
    "syntax": ("def f(:", "SyntaxError"),
}


@pytest.mark.parametrize("way", BROKEN)
def test_a_plugin_that_fails_at_import_leaves_the_others_working(write_plugin, way):
    source, message = BROKEN[way]
    points = [write_plugin("a-bad", source), write_plugin("good", GOOD.format("good"))]
    host = load_plugins(points, {})
    assert statuses(host) == {"a-bad": "broken", "good": "active"}
    assert message in reason(host, "a-bad") and "\n" not in reason(host, "a-bad")
    assert [e.name for e in Registry(host).entries("generator")] == ["good"]


def test_a_broken_plugin_gives_one_line_that_names_its_package(write_plugin):
    host = load_plugins(
        [write_plugin("bad", "1 / 0", "bad-package", "0.9"), write_plugin("ok")], {}
    )
    (warning,) = host.warnings
    assert warning.startswith(
        "plugin 'bad' of bad-package 0.9 is left out: its import failed: Zero"
    )
    assert "\n" not in warning


def test_a_module_that_is_not_there_is_a_broken_plugin():
    host = load_plugins([EntryPoint("gone", "no_such_module", "memtk")], {})
    assert statuses(host) == {"gone": "broken"}
    assert "of unknown ? is left out" in host.warnings[0]


def test_a_misspelt_hook_breaks_its_plugin_and_suggests_the_right_one(write_plugin):
    source = "@hookimpl\ndef memtk_generator():\n    return []\n"
    host = load_plugins([write_plugin("typo", source), write_plugin("ok")], {})
    assert statuses(host) == {"ok": "active", "typo": "broken"}
    assert reason(host, "typo") == (
        "there is no hook 'memtk_generator'. Did you mean 'memtk_generators'?"
    )
    assert [p.name for p in host.plugins if host.manager.has_plugin(p.name)] == ["ok"]


def test_a_malformed_entry_point_is_a_broken_plugin(write_plugin):
    points = [EntryPoint("bad", "not a module!", "memtk"), write_plugin("ok")]
    assert statuses(load_plugins(points, {})) == {"bad": "broken", "ok": "active"}


def test_a_folder_without_init_is_no_plugin(write_plugin, tmp_path):
    (tmp_path / "site" / "hollow_plugin").mkdir()
    host = load_plugins([EntryPoint("hollow", "hollow_plugin", "memtk"), write_plugin("ok")], {})
    assert statuses(host) == {"hollow": "broken", "ok": "active"}
    assert "'hollow_plugin' is a folder without __init__.py" in reason(host, "hollow")


def test_a_plugin_with_one_wrong_hook_brings_nothing_at_all(write_plugin):
    source = (
        GOOD.format("half")
        + "    @hookimpl\n    def memtk_similarities(colour):\n        return []\n"
    )
    host = load_plugins([write_plugin("half", source)], {})
    assert statuses(host) == {"half": "broken"} and "colour" in reason(host, "half")
    assert Registry(host).entries("generator") == []


def test_a_hook_under_a_name_that_is_no_hook_at_all_breaks_its_plugin(write_plugin):
    source = (
        GOOD.format("odd")
        + """
    @hookimpl
    def networks():
        return []
    """
    )
    host = load_plugins([write_plugin("odd", source)], {})
    assert statuses(host) == {"odd": "broken"} and "networks" in reason(host, "odd")
    assert Registry(host).entries("generator") == []


def test_a_name_that_looks_like_a_hook_and_is_none_is_left_alone(write_plugin):
    source = "memtk_favourite = 3\ndef memtk_helper():\n    return 1\n"
    assert statuses(load_plugins([write_plugin("fine", source)], {})) == {"fine": "active"}


def test_a_hook_with_an_argument_it_does_not_get_breaks_its_plugin(write_plugin):
    source = "@hookimpl\ndef memtk_generators(colour):\n    return []\n"
    host = load_plugins([write_plugin("wrong", source), write_plugin("ok", GOOD.format("ok"))], {})
    assert statuses(host) == {"ok": "active", "wrong": "broken"}
    assert "colour" in reason(host, "wrong") and "\n" not in reason(host, "wrong")
    assert [e.name for e in Registry(host).entries("generator")] == ["ok"]


def test_only_allowed_plugins_are_loaded(write_plugin):
    points = [write_plugin("a", "1 / 0"), write_plugin("b"), write_plugin("c")]
    host = load_plugins(points, {"MEMTK_PLUGINS": " b , c"})
    assert statuses(host) == {"a": "blocked", "b": "active", "c": "active"}
    assert reason(host, "a") == "not in MEMTK_PLUGINS" and host.warnings == []


def test_an_empty_list_of_allowed_plugins_allows_none(write_plugin):
    assert statuses(load_plugins([write_plugin("a")], {"MEMTK_PLUGINS": ""})) == {"a": "blocked"}


def test_a_blocked_plugin_is_not_even_imported(write_plugin):
    point = write_plugin("a")
    host = load_plugins([point, write_plugin("b")], {"MEMTK_DISABLE_PLUGINS": "a,zzz"})
    assert statuses(host) == {"a": "blocked", "b": "active"}
    assert reason(host, "a") == "in MEMTK_DISABLE_PLUGINS" and point.module not in sys.modules


def test_blocking_wins_over_allowing(write_plugin):
    environ = {"MEMTK_PLUGINS": "a", "MEMTK_DISABLE_PLUGINS": "a"}
    assert statuses(load_plugins([write_plugin("a")], environ)) == {"a": "blocked"}


def test_the_lists_are_read_from_the_environment(write_plugin, monkeypatch):
    monkeypatch.setenv("MEMTK_DISABLE_PLUGINS", "a")
    assert statuses(load_plugins([write_plugin("a")])) == {"a": "blocked"}


def test_one_plugin_found_twice_on_the_path_is_one_plugin(write_plugin):
    point = write_plugin("a", GOOD.format("a"))
    host = load_plugins([point, point], {})
    assert len(host.plugins) == 1 and not host.warnings


def test_two_plugins_of_one_name_are_not_mixed_up(write_plugin):
    points = [
        write_plugin("a", GOOD.format("first"), "first-package"),
        write_plugin("a", GOOD.format("second"), "second-package"),
    ]
    host = load_plugins(points, {})
    assert sorted(p.status for p in host.plugins) == ["active", "broken"]
    (warning,) = host.warnings
    active = next(p for p in host.plugins if p.status == "active")
    assert warning.endswith(f"{active.distribution} 1.0 has a plugin 'a' already")
    (entry,) = Registry(host).entries("generator")
    assert entry.plugin == active


def test_an_entry_point_that_names_an_object_is_told_from_a_module(write_plugin):
    point = write_plugin("a", GOOD.format("first"))
    host = load_plugins([EntryPoint("a", f"{point.module}:Component", "memtk")], {})
    assert statuses(host)["a"] == "broken" and "module" in reason(host, "a")


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
