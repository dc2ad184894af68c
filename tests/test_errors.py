from __future__ import annotations

import signal

import pytest

from memtk.errors import PluginError, Stopped, UserError, did_you_mean, is_failure, stop


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


@pytest.mark.parametrize(
    ("handler", "of_others"),
    [(signal.default_int_handler, False), (stop, True), (signal.SIG_IGN, True)],
)
def test_an_interrupt_is_a_persons_where_ctrl_c_raises_that_very_one(handler, of_others):
    before = signal.signal(signal.SIGINT, handler)
    try:
        assert is_failure(KeyboardInterrupt()) is of_others
        assert not is_failure(Stopped()) and not is_failure(GeneratorExit())
        assert is_failure(SystemExit(0))
    finally:
        signal.signal(signal.SIGINT, before)
