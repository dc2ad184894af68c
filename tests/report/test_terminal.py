from __future__ import annotations

import re

import pytest
from rich.console import Console

from memtk.report.terminal import audit_summary, selftest_table, summary
from memtk.results import (
    AuditVerdict,
    MeasureRecord,
    MitigationEffect,
    RateInterval,
    answer_audit,
    answer_cell,
    read_audit,
    read_run,
)
from memtk.results.formats import p_value, share
from memtk.testing.fakes import without_copy_rate


def printed(what, width=110):
    console = Console(record=True, width=width, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(what)
    return console.export_text()


def shown(results, width=110):
    return printed(summary(results), width)


@pytest.fixture
def control(finished):
    """A control that memorized nothing."""
    result = read_run(finished).results[1]
    rate = {"copy_rate": RateInterval(estimate=0.0, low=0.0, high=0.2), "confidence": 0.95}
    last = result.last
    last = last.model_copy(update={"evidence": last.evidence.model_copy(update=rate)})
    return result.model_copy(update={"checkpoints": [last]})


@pytest.fixture
def results(results):
    """Of two generators, none of them a control."""
    used = results[1].components.generator.model_copy(update={"plugin": "other"})
    parts = results[1].components.model_copy(update={"generator": used})
    return results[0], results[1].model_copy(update={"components": parts})


def test_every_checkpoint_has_its_numbers_with_their_nulls(results):
    text = shown(results)
    lines = [line for line in text.splitlines() if "[5%]" in line]
    assert [line.split()[0] for line in lines[:3]] == ["100", "200", "100"]
    assert len(lines) == 4 and text.index("monai+aug") < text.index(lines[0])
    assert text.index(lines[1]) < text.index("independent") < text.index(lines[2])
    dar = results[0].last.protocols["dar"]["n_mem"]
    assert f"{dar.count} {100 * dar.value:.1f}% [5%]" in lines[1]
    assert " - " in lines[0] and " - " not in lines[1]  # the exposure was tested at the end


@pytest.mark.parametrize("more", [1, 2, 7])
def test_no_step_and_no_name_of_a_measure_is_broken_by_those_of_plugins(results, more):
    told = MeasureRecord(value=0.5, title="AUC", side="training", null=0.5)
    mine = {f"plugin-{i}": {"measure": told} for i in range(more)}
    last = results[0].last.model_copy(
        update={"step": 20000, "protocols": {**results[0].last.protocols, **mine}}
    )
    text = shown([results[0].model_copy(update={"checkpoints": [last]})], width=80)
    assert re.search(r"^ +20,000 ", text, re.M) and text.count("20,000 ") == 1 + (more + 4) // 5
    assert all(f"plugin-{i}" in text.split("conformal: copies")[0] for i in range(more))


def test_the_answer_on_every_generator_comes_last_with_its_two_numbers(results):
    text = " ".join(shown(results).split())
    said = [answer_cell(result) for result in results]
    places = [text.index(each.first) for each in said]
    assert places == sorted(places) and min(places) > text.rindex("[5%]")
    for result, each in zip(results, said, strict=True):
        assert f"{each.badge.upper()} {result.cell}: {each.first}" in text
        assert all(number in text for number in each.numbers)
    assert "MEMORIZED monai+aug: Yes: do not release its images." in text


def test_a_control_beside_a_generator_takes_one_sentence(results, control):
    text = " ".join(shown([control, results[0]]).split())
    assert "The control independent came out as it must." in text
    assert "MEMORIZED monai+aug" in text and "INCONCLUSIVE independent" not in text


def test_of_many_generators_the_verdicts_are_grouped_and_no_sentence_is_said_twice(results):
    effect = MitigationEffect(mitigation="augment", did="augmented")
    many = [
        result.model_copy(update={"cell": f"{result.cell}{number}", "mitigation_effects": [effect]})
        for number in range(2)
        for result in results
    ]
    text = " ".join(shown(many).split())
    assert text.count("The training images were changed anew each time they were shown.") == 1
    assert "monai+aug0, augment; independent0, augment; monai+aug1, augment;" in text
    assert "monai+aug0 and monai+aug1 have memorized theirs: do not release their images." in text
    assert "For independent0 and independent1 it is not shown either way." in text
    assert text.count("do not release") == 1


def test_names_are_not_read_as_markup(results):
    text = shown([results[0].model_copy(update={"cell": "[red]x"})])
    assert text.count("[red]x") == 3  # in both tables and before the sentence


def test_a_narrow_terminal_cuts_no_number(results):
    text = shown(results, width=80)
    dar = results[0].last.protocols["dar"]["n_mem"]
    assert f"{100 * dar.value:.1f}% [5%]" in text and "…" not in text


def test_a_bench_with_a_copy_rate_says_it_with_its_interval(results):
    result = results[0]
    assert "Copy rate not computed" in shown([without_copy_rate(result)])
    rate = RateInterval(estimate=0.4, low=0.2, high=0.61)
    found = result.last.evidence
    found = found.model_copy(update={"copy_rate": rate, "confidence": 0.95})
    last = result.last.model_copy(update={"evidence": found})
    text = " ".join(shown([result.model_copy(update={"checkpoints": [last]})]).split())
    assert "Copy rate 40%, 95% interval 20 to 61%; 0 if nothing is copied Between" in text


def test_an_audit_ends_with_its_answer_and_what_bounds_it(audited):
    audit = read_audit(audited / "audit.json")
    said = answer_audit(audit)
    lines = printed(audit_summary(audit, audited), 300).splitlines()
    lines = lines[[line.strip() for line in lines].index(f"FAIL  {said.first}") :]
    assert [line.strip() for line in lines[1:3]] == [*said.numbers]
    assert [line.strip(" -") for line in lines[3:5]] == [*said.why]
    assert lines[5].strip() == "What now" and lines[-1].startswith("Nothing said")
    assert len(lines) < 20  # a terminal shows the last 24
    release = next(line for line in lines if "memtk release" in line)
    assert str(audited) in release and release.strip().endswith("--second-similarity ncc")


def test_every_count_of_an_audit_stands_with_what_chance_would_give(audited):
    audit = read_audit(audited / "audit.json")
    found, dar = audit.evidence, audit.protocols["dar"]["n_mem"]
    rows = {}
    for line in printed(audit_summary(audit), 300).splitlines():
        title, _, rest = line.strip().partition("  ")
        rows.setdefault(title, rest)
    assert not re.search(r"\d %", printed(audit_summary(audit), 300))  # one way to write them
    assert f"{found.n_copies} of 40, {found.copies.sure} for sure" in rows["named as copies"]
    assert ("at least" in rows["named as copies"]) == (found.copy_rate is None)
    exposed = rows["training patients exposed"]
    assert f"{found.exposed.low} to {found.exposed.high} of 24" in exposed
    assert p_value(found.copies.check) in rows["strangers' tail"]
    assert "alike" in rows["other synthetic images and strangers"]
    memorized = rows["memorized, n_mem / N"]
    assert memorized.startswith(f"{dar.count} of 24 training images ({share(dar.value)})")
    assert memorized.split()[-1] == share(dar.null)
    assert "95% interval" in rows["copy rate"] and "at most" in rows["copy rate"]
    assert rows["planted copies noticed"].strip().startswith("78 of 80 planted copies")


def test_an_audit_with_little_to_say_says_what_is_missing(make_audit_run):
    folder = make_audit_run(given=True, exposure=False, noticed=None, sizes=(12, 6, 4))
    text = printed(audit_summary(read_audit(folder / "audit.json")))
    assert "INCONCLUSIVE" in text and "not tested" in text and "Self-test" not in text
    assert "identical to" not in text and "Exposed patients not tested" in text


def test_a_pass_is_told_as_within_policy(make_audit_run):
    audit = read_audit(make_audit_run(sizes=(90, 300, 300)) / "audit.json")
    said = AuditVerdict(outcome="pass", reasons=["The copy rate is at most 3%."])
    text = printed(audit_summary(audit.model_copy(update={"verdict": said})))
    assert "\nWITHIN POLICY  Yes, within memtk's default policy. At most" in text
    assert not re.search(r"\bPASS\b|anonym|\bsafe", text, re.I)


def test_a_self_test_is_a_table_of_kinds_and_strengths_with_intervals(audited):
    audit = read_audit(audited / "audit.json")
    text = printed(selftest_table(audit.selftest), 80)
    assert "rotation 5 degrees" in text and "exact " in text and "…" not in text
    lines = text.splitlines()
    mixed = next(k for k, line in enumerate(lines) if line.startswith(" mixed"))
    assert "97.5%" in lines[mixed] and "[91.3-99.7]" in lines[mixed + 1]
    assert "Self-test: 78 of 80 planted copies" in text and "57 of 60 strangers" in text
    bare = audit.selftest.model_copy(update={"plants": []})
    assert "mixed" in printed(selftest_table(bare))


def test_a_self_test_that_found_nothing_names_no_right_patient(make_audit_run):
    audit = read_audit(make_audit_run(noticed=0.0) / "audit.json")
    text = printed(selftest_table(audit.selftest))
    assert "0 of 80" in text and "right patient named" not in text and " - " in text
