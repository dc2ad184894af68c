from __future__ import annotations

import sys

import pytest

from memtk.component import KINDS
from memtk.errors import PluginError, UserError
from memtk.plugins import load_plugins
from memtk.registry import Registry, open_registry


def generators(*components):
    return "@hookimpl\ndef memtk_generators():\n    return [" + ", ".join(components) + "]\n"


def component(name, target="json:JSONDecoder", **more):
    return f"Component({name!r}, {target!r}, 'One.', **{more!r})"


@pytest.fixture
def registry_of():
    return lambda *points: Registry(load_plugins(points, {}))


def test_a_component_is_found_with_the_plugin_that_brings_it(write_plugin, registry_of):
    registry = registry_of(write_plugin("a", generators(component("blob")), "a-package", "3.1"))
    entry = registry.find("generator", "blob")
    assert (entry.kind, entry.name) == ("generator", "blob")
    assert (entry.plugin.distribution, entry.plugin.version) == ("a-package", "3.1")
    assert registry.find("generator", "a/blob") == entry
    assert registry.load("generator", "blob").__name__ == "JSONDecoder"


def test_components_of_all_plugins_are_listed_by_name(write_plugin, registry_of):
    registry = registry_of(
        write_plugin("a", generators(component("z"), component("m"))),
        write_plugin("b", generators(component("n"))),
    )
    assert [e.name for e in registry.entries("generator")] == ["m", "n", "z"]
    assert registry.entries("embedder") == [] and registry.warnings == []


def test_an_unknown_name_gets_the_nearest_one_and_all_there_are(write_plugin, registry_of):
    registry = registry_of(write_plugin("a", generators(component("blob"), component("disc"))))
    with pytest.raises(UserError) as raised:
        registry.find("generator", "blub")
    assert str(raised.value) == (
        "unknown generator 'blub': there are blob, disc. Did you mean 'blob'?"
    )


def test_an_unknown_plugin_before_the_slash_is_an_unknown_name(write_plugin, registry_of):
    registry = registry_of(write_plugin("a", generators(component("blob"))))
    with pytest.raises(UserError, match="unknown generator 'b/blob'"):
        registry.find("generator", "b/blob")


def test_a_kind_without_components_says_so(registry_of):
    with pytest.raises(UserError, match="there are none"):
        registry_of().find("attack", "loss")


def test_an_unknown_kind_gets_the_nearest_one(registry_of):
    with pytest.raises(UserError, match="unknown kind 'generatr'.*Did you mean 'generator'"):
        registry_of().entries("generatr")


def test_two_components_of_one_name_are_an_error_that_names_both_packages(
    write_plugin, registry_of
):
    registry = registry_of(
        write_plugin("a", generators(component("blob", "json:JSONDecoder")), "a-package"),
        write_plugin("b", generators(component("blob", "json:JSONEncoder")), "b-package"),
    )
    with pytest.raises(PluginError) as raised:
        registry.find("generator", "blob")
    assert str(raised.value) == (
        "generator 'blob' is brought by a (a-package) and b (b-package): say a/blob or b/blob"
    )
    assert registry.load("generator", "a/blob").__name__ == "JSONDecoder"
    assert registry.load("generator", "b/blob").__name__ == "JSONEncoder"
    assert len(registry.entries("generator")) == 2


def test_a_plugin_that_brings_a_name_twice_is_told(write_plugin, registry_of):
    registry = registry_of(write_plugin("a", generators(component("blob"), component("blob"))))
    with pytest.raises(PluginError, match="plugin 'a' brings generator 'blob' twice"):
        registry.find("generator", "blob")
    with pytest.raises(PluginError, match="plugin 'a' brings generator 'blob' twice"):
        registry.find("generator", "a/blob")


def test_two_kinds_may_share_a_name(write_plugin, registry_of):
    source = generators(component("blob")) + (
        f"@hookimpl\ndef memtk_embedders():\n    return ({component('blob')},)\n"
    )
    registry = registry_of(write_plugin("a", source))
    assert registry.find("generator", "blob").kind == "generator"
    assert registry.find("embedder", "blob").kind == "embedder"


def test_a_missing_dependency_is_told_before_anything_is_imported(write_plugin, registry_of):
    needy = component(
        "blob", "imaginary_target:X", needs=("json", "imaginary"), install="pip install imaginary"
    )
    entry = registry_of(write_plugin("a", generators(needy))).find("generator", "blob")
    assert entry.missing == ("imaginary",)
    with pytest.raises(PluginError) as raised:
        entry.load()
    assert str(raised.value) == "blob needs imaginary: pip install imaginary"
    assert "imaginary_target" not in sys.modules


def test_without_a_command_pip_is_suggested_for_what_is_missing(write_plugin, registry_of):
    needy = component("blob", needs=("imaginary", "unreal.part"))
    registry = registry_of(write_plugin("a", generators(needy)))
    with pytest.raises(PluginError, match="needs imaginary, unreal.part: pip install imaginary"):
        registry.load("generator", "blob")


def test_a_component_of_another_interface_is_refused_by_name(write_plugin, registry_of):
    old = component("blob", "imaginary_target:X", api=0, needs=("imaginary",))
    registry = registry_of(write_plugin("a", generators(old), "a-package"))
    with pytest.raises(PluginError) as raised:
        registry.load("generator", "blob")
    assert str(raised.value) == (
        "generator 'blob' of plugin 'a' is written for plugin interface 0; this memtk has 1. "
        "Update a-package."
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:X", "No module named 'no_such_module'"),
        ("json:NoSuchClass", "has no attribute 'NoSuchClass'"),
    ],
)
def test_a_target_that_is_not_there_names_component_and_plugin(
    write_plugin, registry_of, target, message
):
    registry = registry_of(write_plugin("a", generators(component("blob", target))))
    with pytest.raises(PluginError, match="generator 'blob' of plugin 'a' cannot be imp") as raised:
        registry.load("generator", "blob")
    assert message in str(raised.value)


@pytest.mark.parametrize("source", ["1 / 0", "raise RuntimeError('no GPU')", "def f(:"])
def test_a_target_that_fails_at_import_is_a_plugin_error(write_plugin, registry_of, source):
    target = write_plugin("target", source)
    registry = registry_of(
        write_plugin("a", generators(component("blob", f"{target.module}:X"), component("other")))
    )
    with pytest.raises(PluginError, match="generator 'blob' of plugin 'a' cannot be imported"):
        registry.load("generator", "blob")
    assert registry.find("generator", "other").missing == ()


@pytest.mark.parametrize("exception", ["RuntimeError('oh')", "SystemExit(2)", "ValueError('oh')"])
def test_a_hook_that_fails_leaves_the_other_hooks_and_plugins(write_plugin, registry_of, exception):
    source = f"""
@hookimpl
def memtk_embedders():
    raise {exception}

{generators(component("blob"))}
"""
    registry = registry_of(
        write_plugin("a", source), write_plugin("b", generators(component("disc")))
    )
    (warning,) = registry.warnings
    assert warning.startswith("plugin 'a': memtk_embedders failed: ")
    assert [e.name for e in registry.entries("generator")] == ["blob", "disc"]


def test_a_malformed_component_is_kept_to_its_own_hook(write_plugin, registry_of):
    registry = registry_of(write_plugin("a", generators("Component('Bad Name', 'a:B', '')")))
    (warning,) = registry.warnings
    assert "component name 'Bad Name'" in warning


def test_a_hook_that_fails_half_way_brings_nothing(write_plugin, registry_of):
    source = (
        "@hookimpl\ndef memtk_generators():\n"
        f"    yield {component('blob')}\n    raise ValueError('half')\n"
    )
    registry = registry_of(write_plugin("a", source))
    assert registry.entries("generator") == [] and "half" in registry.warnings[0]


def test_what_is_no_component_is_told_and_the_rest_is_used(write_plugin, registry_of):
    registry = registry_of(write_plugin("a", generators("dict", component("blob"))))
    assert [e.name for e in registry.entries("generator")] == ["blob"]
    assert registry.warnings == [
        "plugin 'a': memtk_generators returned <class 'dict'>, not a Component"
    ]


def test_a_hook_that_returns_none_is_told(write_plugin, registry_of):
    registry = registry_of(write_plugin("a", "@hookimpl\ndef memtk_generators():\n    pass\n"))
    assert "memtk_generators failed" in registry.warnings[0]


def test_a_broken_plugin_is_among_the_warnings(write_plugin, registry_of):
    assert "is left out" in registry_of(write_plugin("bad", "1 / 0")).warnings[0]


def test_the_built_in_components_have_names_of_their_own_and_can_be_imported():
    registry = open_registry()
    assert registry.warnings == []
    for kind in KINDS:
        names = [e.name for e in registry.entries(kind) if e.plugin.distribution == "memtk"]
        assert len(names) == len(set(names))
    assert {"copycat", "independent", "monai3d"} <= {e.name for e in registry.entries("generator")}
    assert registry.load("generator", "copycat").__name__ == "Copycat"
    assert registry.load("mitigation", "mitigations/augment").__name__ == "Augment"


def test_every_built_in_component_sums_itself_up_in_one_short_sentence():
    registry = open_registry()
    for kind in KINDS:
        for entry in registry.entries(kind):
            summary = entry.component.summary
            assert summary.endswith(".") and len(summary) < 160 and "\n" not in summary, entry.name
