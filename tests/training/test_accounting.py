"""The epsilon of a training, against opacus's accountants and the exact Gaussian mechanism."""

import math

import pytest
from scipy.optimize import brentq
from scipy.stats import norm

pytest.importorskip("opacus", reason="dp-sgd needs opacus")

from memtk.errors import UserError
from memtk.training.privacy import LEAST_NOISE, PhaseBudget, epsilon_of, noise_for

TWO = (PhaseBudget("a", 40, 0.25), PhaseBudget("b", 100, 0.1))


@pytest.mark.parametrize("kind", ["rdp", "prv"])
def test_epsilon_is_what_opacus_counts_step_by_step(kind):
    from opacus.accountants import create_accountant

    counted = create_accountant(mechanism=kind)
    for spend in TWO:
        for _ in range(spend.steps):
            counted.step(noise_multiplier=1.7, sample_rate=spend.sample_rate)
    assert epsilon_of(TWO, 1.7, 1e-3, kind) == pytest.approx(counted.get_epsilon(delta=1e-3))


def test_epsilon_is_that_of_the_exact_gaussian_mechanism_where_every_unit_is_in_every_step():
    """Balle and Wang, arXiv 1805.06530, theorem 8, for sensitivity 1 and T composed steps."""
    steps, sigma, delta = 30, 6.0, 1e-3
    mu = math.sqrt(steps) / sigma

    def excess(eps):
        return norm.cdf(mu / 2 - eps / mu) - math.exp(eps) * norm.cdf(-mu / 2 - eps / mu) - delta

    exact = brentq(excess, 0, 50)
    all_in = (PhaseBudget("a", steps, 1.0),)
    assert epsilon_of(all_in, sigma, delta, "prv") == pytest.approx(exact, abs=0.03)
    assert exact <= epsilon_of(all_in, sigma, delta, "rdp") <= 1.3 * exact


def test_every_phase_adds_to_epsilon_and_one_without_steps_adds_nothing():
    both, alone = (epsilon_of(s, 1.7, 1e-3) for s in (TWO, TWO[:1]))
    assert both > alone > 0
    assert epsilon_of((*TWO, PhaseBudget("c", 0, 0.5)), 1.7, 1e-3) == both
    assert epsilon_of((PhaseBudget("c", 0, 0.5),), 1.7, 1e-3) == 0


@pytest.mark.parametrize(
    ("spends", "epsilon"),
    [(TWO, 0.5), ((PhaseBudget("a", 50, 1.0),), 5.0), ((PhaseBudget("a", 50, 1.0),), 300.0)],
)
def test_the_noise_is_the_least_that_keeps_the_budget(spends, epsilon):
    sigma = noise_for(spends, epsilon, 1e-3)
    assert epsilon_of(spends, sigma, 1e-3) <= epsilon < epsilon_of(spends, 0.998 * sigma, 1e-3)


def test_a_budget_that_is_never_used_up_asks_for_little_noise():
    assert noise_for((PhaseBudget("a", 1, 1.0),), 1e6, 1e-3) == LEAST_NOISE


def test_a_budget_that_no_noise_keeps_is_refused():
    with pytest.raises(UserError, match="accountant=prv"):
        noise_for((PhaseBudget("a", 50, 1.0),), 1e-4, 1e-3)
