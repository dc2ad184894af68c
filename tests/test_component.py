from __future__ import annotations

import dataclasses

import pytest

import memtk
from memtk import hookspecs
from memtk.component import API, KINDS, Component
from memtk.events import Event


def test_a_component_is_for_2d_and_3d_and_this_interface_unless_it_says_otherwise():
    component = Component("a", "b.c:D", "Sums up.")
    assert component.dims == {2, 3} and component.api == API and component.needs == ()


@pytest.mark.parametrize("name", ["", "Monai", "a b", "a/b", "-a", "a_b", "ä"])
def test_a_malformed_name_is_refused_by_name(name):
    with pytest.raises(ValueError, match="use lower case letters, digits and hyphens"):
        Component(name, "b.c:D", "")


@pytest.mark.parametrize("target", ["", "b.c", "b.c:", ":D", "b c:D", "b.c:D.e", "b.c:D()"])
def test_a_malformed_target_is_refused(target):
    with pytest.raises(ValueError, match="expected 'module:Class'"):
        Component("a", target, "")


def test_a_component_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Component("a", "b.c:D", "").name = "b"


def test_every_kind_has_its_hook_with_a_sentence():
    for hook in KINDS.values():
        specification = getattr(hookspecs, hook)
        assert specification.__doc__.strip().endswith(".")
        with pytest.raises(AssertionError):  # a specification is never called
            specification()


def test_every_hook_is_of_a_kind_or_watches_runs():
    hooks = {n for n in vars(hookspecs) if n.startswith("memtk_")}
    assert hooks == {*KINDS.values(), "memtk_run_event"}
    with pytest.raises(AssertionError):
        hookspecs.memtk_run_event(Event("start", "training"))


def test_the_public_face_of_the_package_is_small():
    assert set(memtk.__all__) == {
        "AuditResult",
        "Component",
        "Memorization",
        "PairReading",
        "PluginError",
        "Policy",
        "UserError",
        "__version__",
        "audit",
        "hookimpl",
        "review",
    }
    assert all(hasattr(memtk, name) for name in memtk.__all__)
