from __future__ import annotations

from memtk.errors import PluginError, UserError, did_you_mean


def test_a_plugin_error_is_a_user_error():
    assert issubclass(PluginError, UserError)


def test_the_nearest_of_several_names_is_suggested():
    names = ["monai2d", "monai3d", "copycat"]
    assert did_you_mean("monai3", names) in (" Did you mean 'monai2d'?", " Did you mean 'monai3d'?")
    assert did_you_mean("copicat", names) == " Did you mean 'copycat'?"


def test_nothing_is_suggested_where_nothing_is_near():
    assert did_you_mean("zzz", ["monai3d"]) == "" == did_you_mean("zzz", [])


def test_names_may_be_any_iterable():
    assert did_you_mean("a1", (n for n in ["a2"])) == ""
    assert did_you_mean("steqs", iter(["steps"])) == " Did you mean 'steps'?"
