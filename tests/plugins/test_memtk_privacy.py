"""The mitigation dp-sgd: what its settings ask of the core."""

import pytest

pytest.importorskip("opacus", reason="dp-sgd needs opacus")

from memtk.config import build
from memtk.errors import UserError
from memtk.interfaces import Private
from memtk.registry import open_registry


@pytest.fixture(scope="module")
def dp_sgd():
    return open_registry().load("mitigation", "dp-sgd")


def asked(cls, **settings):
    return cls(build(cls.Config, settings, where="dp-sgd")).private()


def test_by_default_the_budget_is_eight_a_patient_and_the_noise_a_secret(dp_sgd):
    assert asked(dp_sgd) == Private(epsilon=8.0, unit="patient", secret=True)


def test_a_noise_that_is_given_takes_the_place_of_the_budget(dp_sgd):
    found = asked(dp_sgd, noise_multiplier=2.0, unit="image", reproducible=True)
    assert (found.epsilon, found.noise_multiplier) == (None, 2.0)
    assert (found.unit, found.secret) == ("image", False)


@pytest.mark.parametrize(
    "settings",
    [
        {"epsilon": 1, "noise_multiplier": 1},
        {"epsilon": 0},
        {"delta": 1},
        {"max_grad_norm": -1},
        {"accountant": "gdp"},
        {"unit": "scan"},
    ],
)
def test_settings_that_make_no_sense_are_refused(dp_sgd, settings):
    with pytest.raises(UserError, match="dp-sgd"):
        asked(dp_sgd, **settings)


def test_other_mitigations_ask_for_no_privacy():
    augment = open_registry().load("mitigation", "augment")
    assert augment(augment.Config()).private() is None


def test_without_opacus_it_says_how_to_get_it():
    component = open_registry().find("mitigation", "dp-sgd").component
    assert component.needs == ("opacus",) and "memtk[privacy]" in component.install
