"""Known truth: readers who are simulated on a run of copycat, and the paper's own counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fake_runs import write_run

from memtk.bench import make_plan, read_recipe, run_bench
from memtk.memorization import ReadPairs
from memtk.results.reference import paper_numbers
from memtk.reviewing import (
    Reading,
    disputed,
    open_draw,
    open_set,
    review_of,
    save,
    write_review,
)
from memtk.reviewing.draw import DrawOptions, make_draw
from memtk.reviewing.labels import Labels, all_labels
from memtk.reviewing.statistics import read_pairs, rule_read

SENSITIVITY, SPECIFICITY = 0.9, 0.95
"""Of simulated readers."""


@pytest.fixture(scope="session")
def copycat(registry, tmp_path_factory):
    """A run of 160 training images whose synthetic images are copies every other time."""
    folder = tmp_path_factory.mktemp("copycat") / "run"
    options = {"generator": ["copycat"], "similarity": "ncc", "preset": "smoke", "plants": 0}
    sets = ["copycat.rate=0.5", "copycat.vary=all", "data.phantom.training=160"]
    sets += ["data.phantom.validation=60", "data.phantom.held_out=0", "data.phantom.size=24"]
    recipe = read_recipe(registry, options, sets=[*sets, "data.source=phantom2d"])
    run_bench(make_plan(recipe, registry), registry, out=folder, device="cpu")
    return open_set(folder)


def truth_over(reviewed, over):
    """Whether each pair is a copy, by what copycat says of itself: sample 2 k + 1 is image k."""
    nearest = reviewed.nearest(over)
    images = np.arange(len(nearest))
    training, made = (images, nearest) if over == "training" else (nearest, images)
    return (made % 2 == 1) & (made // 2 == training)


def simulated(rng, truth):
    says_copy = np.where(truth, SENSITIVITY, 1 - SPECIFICITY)
    return rng.random(len(truth)) < says_copy


def expected(flags, truth):
    """Shares of a rule against such readers, over all pairs."""
    copy = np.where(truth, SENSITIVITY, 1 - SPECIFICITY)  # chance to be called a copy
    return {
        "sensitivity": (copy * flags).sum() / copy.sum(),
        "specificity": ((1 - copy) * ~flags).sum() / (1 - copy).sum(),
        "ppv": copy[flags].mean(),
        "npv": 1 - copy[~flags].mean(),
    }


@pytest.mark.parametrize("stratified", [False, True])
def test_figures_of_drawn_pairs_lie_about_the_truth_and_within_their_intervals(copycat, stratified):
    """The readings of 200 draws of 100 of the 160 pairs, each by another simulated reader."""
    flags, truth = copycat.arrays["memorized"], truth_over(copycat, "training")
    assert 0.2 < truth.mean() < 0.6
    noisy = flags ^ (np.random.default_rng(9).random(len(flags)) < 0.15)  # a rule that errs
    wanted = expected(noisy, truth)
    held, found = dict.fromkeys(wanted, 0), {name: [] for name in wanted}
    for seed in range(200):
        options = DrawOptions(pairs=100, controls=0, stratified=stratified, seed=seed)
        draw = make_draw(copycat, options)
        rows = np.array([pair.training for pair in draw.drawn])
        called = simulated(np.random.default_rng(seed), truth[rows])
        labels = {
            pair.name: Reading(label="copy" if copy else "novel")
            for pair, copy in zip(draw.drawn, called.tolist(), strict=True)
        }
        reader = Labels(draw=draw.name, reader="anna", labels=labels)
        pairs, clear = read_pairs(copycat, draw, [reader])
        said = rule_read("noisy", "noisy", noisy[rows[clear]], pairs, seed)
        for name, value in wanted.items():
            share = getattr(said, name)
            held[name] += share.low <= value <= share.high
            found[name].append(share.rate)
    assert len(draw.strata) == (4 if stratified else 1)
    assert min(held.values()) >= 0.95 * 200, held
    assert {name: np.mean(rates) for name, rates in found.items()} == pytest.approx(
        wanted, abs=0.02
    )


def test_readers_are_known_by_their_controls_over_200_draws(copycat):
    """The controls of one draw: 60 planted copies, and 60 pairs of strangers."""
    draw = make_draw(copycat, DrawOptions(pairs=20, controls=60))
    planted, strangers = (
        np.array([pair.kind == kind for pair in draw.pairs]) for kind in ("planted", "stranger")
    )
    assert planted.sum() == strangers.sum() == 60
    held = []
    for seed in range(200):
        said = simulated(np.random.default_rng(seed), planted)
        pairs = ReadPairs(np.zeros(60), said[planted], np.zeros(60, int), np.array([60]))
        seen = pairs.proportion(pairs.copy, np.ones(60, bool))
        pairs = ReadPairs(np.zeros(60), said[strangers], np.zeros(60, int), np.array([60]))
        spared = pairs.proportion(~pairs.copy, np.ones(60, bool))
        held += [seen.low <= SENSITIVITY <= seen.high, spared.low <= SPECIFICITY <= spared.high]
    assert np.mean(held) >= 0.95


def test_a_whole_reading_says_what_was_pressed(copycat):
    draw = open_draw(copycat, {"pairs": 80, "controls": 15})
    truth = truth_over(copycat, "training")
    for reader, wrong in (("anna", set(range(0, 80, 10))), ("ben", set(range(0, 80, 8)))):
        labels = {}
        for k, pair in enumerate(draw.drawn):
            copy = bool(truth[pair.training]) ^ (k in wrong)
            labels[pair.name] = Reading(label="copy" if copy else "novel", seconds=4.0)
        for pair in draw.pairs:
            if pair.kind != "drawn":
                label = "copy" if pair.kind == "planted" else "novel"
                labels[pair.name] = Reading(label=label)
        save(copycat.folder, draw, reader, labels)
    found = write_review(copycat, draw)
    assert [r.name for r in found.readers] == ["anna", "ben"]
    assert {(r.sensitivity.count, r.specificity.count) for r in found.readers} == {(15, 15)}
    assert found.readers[0].seconds == 4.0
    apart = {k for k in range(80) if (k % 10 == 0) != (k % 8 == 0)}
    names = [pair.name for pair in draw.drawn]
    assert set(found.disagreements) == {names[k] for k in apart}
    assert found.read == 80 - len(apart) and found.unclear == len(apart)
    agreed = save(
        copycat.folder,
        draw,
        "consensus",
        {
            name: Reading(
                label="copy" if truth[draw.drawn[names.index(name)].training] else "novel"
            )
            for name in found.disagreements
        },
    )
    assert len(agreed.labels) == len(apart)
    found = review_of(copycat, draw)
    assert found.read == 80 and found.unclear == 0
    dar = next(rule for rule in found.rules if rule.name == "dar")
    (both_novel, missed), (false, both) = dar.confusion
    rows = np.array([pair.training for pair in draw.drawn])
    copy = truth[rows] ^ np.isin(np.arange(80), [0, 40])  # both were wrong of two
    flags = copycat.arrays["memorized"][rows]
    assert both == (flags & copy).sum() and false == (flags & ~copy).sum()
    assert missed == (~flags & copy).sum() and both_novel == (~flags & ~copy).sum()
    assert found.copies.count == copy.sum()


def test_who_is_unsure_has_no_vote_and_later_labels_replace_earlier_ones(runs):
    reviewed = open_set(runs / "flat")
    draw = open_draw(reviewed, {"pairs": 4, "controls": 0})
    a, b, c, d = (pair.name for pair in draw.drawn)
    anna = {a: Reading(label="copy"), b: Reading(label="unsure"), c: Reading(label="novel")}
    save(reviewed.folder, draw, "anna", anna)
    save(reviewed.folder, draw, "ben", {a: Reading(label="novel"), b: Reading(label="copy")})
    found = review_of(reviewed, draw)
    assert (found.read, found.unclear) == (2, 1)  # b and c; of a they are of two minds
    assert set(disputed(draw, all_labels(reviewed.folder, draw))) == {a, b}
    save(reviewed.folder, draw, "ben", {a: Reading(label="copy")})
    save(reviewed.folder, draw, "ben", {a: Reading(label="unsure", at=1.0)})  # an old one
    assert review_of(reviewed, draw).read == 3
    future = Reading(label="novel", at=1e300, seconds=1e300)
    said = save(reviewed.folder, draw, "ben", {a: future}).labels[a]
    assert said.seconds == 86400 and said.at < 1e10
    save(reviewed.folder, draw, "ben", {a: Reading(label="copy")})  # said after it
    assert review_of(reviewed, draw).read == 3
    assert d not in all_labels(reviewed.folder, draw)[0].labels


MRNET = {
    "MedDiff": (((58, 2), (6, 34)), (94.4, 90.6, 85.0, 96.7)),
    "MONAI": (((55, 0), (7, 38)), (100.0, 88.7, 84.4, 100.0)),
}
"""The paper's counts on MRNet, rows by its rule and columns by its reader, novel first, and what
they make: sensitivity, specificity, PPV and NPV."""


@pytest.mark.parametrize("system", MRNET)
def test_labels_as_the_papers_reader_gave_them_make_its_corrected_table(tmp_path, system):
    counts, wanted = MRNET[system]
    reviewed = open_set(write_run(tmp_path / "run", shape=(8, 8), count=100))
    n = sum(map(sum, counts))
    rule = np.repeat([False, False, True, True], np.ravel(counts))
    copy = np.repeat([False, True, False, True], np.ravel(counts))
    draw = open_draw(reviewed, {"pairs": n, "controls": 0})
    flags = np.zeros(n, dtype=bool)
    flags[[pair.training for pair in draw.drawn]] = rule
    reviewed = replace(reviewed, arrays={**reviewed.arrays, "flagged_dar_training": flags})
    labels = {
        pair.name: Reading(label="copy" if said else "novel")
        for pair, said in zip(draw.drawn, copy.tolist(), strict=True)
    }
    save(reviewed.folder, draw, "radiologist", labels)
    found = review_of(reviewed, draw)
    dar = next(each for each in found.rules if each.name == "dar")
    assert dar.confusion == counts
    shares = (dar.sensitivity, dar.specificity, dar.ppv, dar.npv)
    assert tuple(round(100 * share.rate, 1) for share in shares) == wanted
    [row] = [r for r in paper_numbers().row if r.confusion == counts]  # in `memtk reference`
    assert (row.data_set, row.system) == ("mrnet", system)


def test_the_papers_counts_give_its_corrected_table():
    rows = [row for row in paper_numbers().row if row.confusion]
    assert len(rows) >= 4
    for row in rows:
        (both_novel, missed), (false, both) = row.confusion
        flags = np.repeat([False, False, True, True], (both_novel, missed, false, both))
        copy = np.repeat([False, True, False, True], (both_novel, missed, false, both))
        n = len(flags)
        pairs = ReadPairs(np.zeros(n), copy, np.zeros(n, int), np.array([row.training]))
        said = rule_read("dar", "dar", flags, pairs, 0)
        assert said.confusion == row.confusion
        for name in ("sensitivity", "specificity", "ppv", "npv"):
            share = 100 * getattr(said, name).rate
            assert round(share, 1) == getattr(row.agreement, name), (row.system, name)
        # what the paper prints as sensitivity and specificity are predictive values
        assert abs(100 * said.ppv.rate - row.published_sensitivity) <= 1.5
        assert abs(100 * said.npv.rate - row.published_specificity) <= 3.5
