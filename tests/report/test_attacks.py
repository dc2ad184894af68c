"""Attacks and privacy in the report."""

import io

import numpy as np
import pytest
from rich.console import Console

from memtk.memorization import membership
from memtk.report import build_report
from memtk.report.bench import attack_curves
from memtk.report.figures import draw_attacks
from memtk.report.terminal import summary
from memtk.report.terminal_tables import attacks_table
from memtk.results import (
    Membership,
    Privacy,
    PrivatePhase,
    RateInterval,
    TprAtFpr,
    read_result,
    write_arrays,
    write_result,
)


def interval(found):
    return RateInterval(estimate=found.estimate, low=found.low, high=found.high)


def attacked(seed, patients=40):
    rng = np.random.default_rng(seed)
    scores = {"members": rng.normal(1, 1, patients), "non_members": rng.normal(0, 1, patients)}
    said = membership(scores["members"], scores["non_members"])
    few = vars(said.tpr_at_fpr)
    sides = {f"{side}_patient": np.arange(patients) for side in scores}
    return scores | sides, Membership(
        member_images=patients,
        member_patients=patients,
        non_member_images=patients,
        non_member_patients=patients,
        confidence=0.95,
        auc=interval(said.auc),
        tpr_at_fpr=TprAtFpr(
            **few | {"rate": interval(few["rate"]), "chance": interval(few["chance"])}
        ),
        how="likeness to the nearest synthetic image",
    )


def none(reason):
    counts = {"member_images": 1, "member_patients": 1}
    counts |= {"non_member_images": 1, "non_member_patients": 1}
    return Membership(**counts, confidence=0.95, reason=reason)


PRIVACY = Privacy(
    epsilon=3.21,
    delta=0.001,
    unit="patient",
    units=24,
    most_images=3,
    noise_multiplier=1.5,
    max_grad_norm=1.0,
    steps=1200,
    phases=[PrivatePhase(name="diffusion", steps=1200, sample_rate=0.25)],
    accountant="rdp",
    opacus_version="1.6.0",
    secret=True,
    notes=["It covers the generator."],
)


@pytest.fixture
def told(make_run):
    """A run whose generator was attacked and is private."""
    folder = make_run(cells={"monai": 0.5}, count=6)
    path = folder / "cells" / "monai" / "result.json"
    scores, found = attacked(0)
    write_arrays(path.parent / "arrays.h5", "attack gan-leaks", scores)
    update = {"membership": {"gan-leaks": found, "pia": none("offers no diffusion")}}
    write_result(path, read_result(path).model_copy(update=update | {"privacy": PRIVACY}))
    return folder, read_result(path)


def test_a_result_with_attacks_and_privacy_comes_back_as_it_was(told):
    _, result = told
    assert result.privacy == PRIVACY
    assert result.membership["gan-leaks"] == attacked(0)[1]


def test_the_page_shows_the_numbers_with_what_chance_gives_and_what_is_missing(told, plain):
    folder, result = told
    page = build_report(folder).read_text()
    auc = result.membership["gan-leaks"].auc
    assert f"{auc.estimate:.2f} <span" in page and "[0.50]" in page
    assert f"{auc.low:.2f} to {auc.high:.2f}" in page
    assert "is not measurable with 40 non-member patients: it is shown at" in page
    assert "not measured: offers no diffusion" in page
    assert "ε = 3.21" in page and "at most a factor e<sup>ε</sup> = 24.8" in page
    assert "1,200 noisy steps, each with 25%" in page and "It covers the generator." in page


def test_a_page_of_a_run_without_either_says_nothing_of_them(make_run, plain):
    page = build_report(make_run(cells={"monai": 0.5}, count=6)).read_text()
    assert "Can it be told" not in page and "Differential privacy" not in page


def test_the_terminal_has_a_line_an_attack(told):
    _, result = told
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(summary([result]))
    text = console.export_text()
    auc = result.membership["gan-leaks"].auc
    assert f"{auc.estimate:.2f} ({auc.low:.2f} to {auc.high:.2f})" in text
    assert "offers no diffusion" in text
    assert attacks_table([result.model_copy(update={"membership": {}})]) is None


def test_the_curves_are_drawn_once_and_the_same_again(told):
    folder, result = told
    path = folder / "cells" / "monai" / "arrays.h5"
    (figure,) = attack_curves(result, path)
    assert figure.uri.startswith("data:image/svg+xml;base64,")
    assert attack_curves(result, path) == [figure]
    without = result.model_copy(update={"membership": {"pia": none("no")}})
    assert attack_curves(without, path) == []
    assert draw_attacks({}, 5) is None


def test_a_budget_beyond_measure_is_shown_without_a_factor(told, plain):
    folder, result = told
    path = folder / "cells" / "monai" / "result.json"
    large = PRIVACY.model_copy(update={"epsilon": 5000.0})
    write_result(path, result.model_copy(update={"privacy": large}))
    page = build_report(folder).read_text()
    assert "at most a factor e<sup>ε</sup>, but" in page
