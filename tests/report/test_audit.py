from __future__ import annotations

import base64
import html
import re
import shutil

import numpy as np
import pytest

from memtk.errors import UserError
from memtk.report import build_audit_report, build_report
from memtk.report.audit_steps import audit_steps
from memtk.results import (
    Policy,
    RateInterval,
    answer_audit,
    explain,
    read_arrays,
    read_audit,
    read_result,
    write_arrays,
    write_audit,
    write_result,
)
from memtk.results.answer import TITLES
from memtk.results.formats import p_value
from memtk.testing.fakes import evidence, without_copy_rate


@pytest.fixture
def page(make_audit_run, monkeypatch):
    """`page(...)` makes an audit and returns the text of its report, without figures."""
    for name in ("draw_similarities", "draw_planted"):
        monkeypatch.setattr(f"memtk.report.sections.{name}", lambda *args: "data:image/svg+xml;,")
    return lambda *shape, **asked: text(make_audit_run(*shape, **asked))


def text(folder):
    build_audit_report(folder)
    return page_of(folder)


def page_of(folder):
    return html.unescape((folder / "report.html").read_text())


def test_the_outcome_stands_first_then_its_reasons_then_plain_words(audited):
    body, audit = page_of(audited), read_audit(audited / "audit.json")
    body = body[body.index("<body>") :]
    places = [body.index(part) for part in ("Fail", *audit.verdict.reasons)]
    assert places == sorted(places)
    places.append(body.index(explain(audit)))
    assert places[-1] < body.index("All counts") < body.index("<img")


@pytest.mark.parametrize(
    ("asked", "outcome"),
    [
        ({"copied": 0.4}, "fail"),
        ({"sizes": (60, 400, 400)}, "pass"),
        ({"sizes": (24, 8, 30), "noticed": 0.5}, "inconclusive"),
        ({"identical": 2}, "fail"),
    ],
)
def test_each_outcome_has_its_badge_and_its_sentence(page, asked, outcome):
    shown = page(**asked)
    assert f'class="verdict {outcome}"' in shown and f">{TITLES[outcome]}</span>" in shown


def test_no_word_of_the_page_of_a_pass_can_be_taken_for_a_promise(page):
    shown = re.sub(r"<[^>]+>", " ", page(sizes=(60, 400, 400)))
    assert "Within policy" in shown and not re.search("anonym|\\bsafe", shown, re.I)


def test_the_page_begins_with_the_answer_its_numbers_why_and_what_now(audited):
    said = answer_audit(read_audit(audited / "audit.json"))
    shown = re.sub("</?span[^>]*>", "", page_of(audited))
    places = [shown.index(part) for part in (said.first, *said.numbers, *said.why, "What now")]
    assert places == sorted(places) and places[-1] < shown.index("All counts")
    assert "0 if nothing is copied" in said.numbers[0]


@pytest.mark.parametrize(
    ("term", "meaning"),
    [
        ("Copy rate", "Copy rate: the share of the synthetic images that are copies"),
        (
            "exposed",
            "synthetic images lie nearer to them than to those of strangers",
        ),
        ("strangers", "Strangers: the validation patients"),
        ("reference rule", "nearer than 95% of the training images are to their nearest"),
    ],
)
def test_a_term_is_explained_before_what_can_be_done_or_where_it_first_stands(
    audited, term, meaning
):
    shown = page_of(audited)
    shown = re.sub(r"<details.*?</details>", "", shown[shown.index("<body>") :], flags=re.S)
    assert shown.index(meaning) < max(shown.index("What now"), shown.index(term) + 1)


def test_the_commands_of_the_page_are_whole_and_name_no_folder(audited):
    shown = page_of(audited)
    found = re.findall(r'<pre class="code" tabindex="0">(.*?)</pre>', shown, re.S)
    commands = [re.sub(r"<[^>]+>", "", each) for each in found]
    assert commands[0] == "memtk release . --second-similarity ncc"


@pytest.mark.parametrize(("overlooked", "cannot"), [(0, True), (1, False), (None, False)])
def test_a_release_that_cannot_pass_is_said_to_be_one(make_audit_run, overlooked, cannot):
    folder = make_audit_run(copied=0.4)
    arrays = read_arrays(folder / "arrays.h5", "audit")
    near = arrays["synthetic_train"][arrays["copies_flagged"].astype(bool)].min()
    arrays.pop("planted", None)
    if overlooked is not None:
        arrays["planted"] = np.r_[near, np.full(overlooked, near - 1e-6)]
    write_arrays(folder / "arrays.h5", "audit", arrays)
    steps = audit_steps(read_audit(folder / "audit.json"), folder, paths=False)
    assert ("that is still no pass" in steps[-1].said) == cannot
    ways = [step.said[:9].strip() for step in steps]
    assert ways == (["Have the", "Or hold 1"] if cannot else ["Hold 16 i", "Or have t"])


def test_the_only_thing_that_can_be_done_is_no_alternative(audited):
    audit = read_audit(audited / "audit.json")
    second = audit.model_copy(update={"screened": "another design", "selftest": None})
    (step,) = audit_steps(second, audited, paths=False)
    assert step.said.startswith("Have the generator trained anew")


def test_every_count_stands_with_its_null(audited):
    shown, audit = page_of(audited), read_audit(audited / "audit.json")
    table = shown[shown.index('class="numbers counts"') :]
    table = table[: table.index("</table>")]
    rows = re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td><td>(.*?)</td>', table)
    found = {html.unescape(title): (how, chance) for title, how, chance in rows}
    named, dar = audit.evidence, audit.protocols["dar"]
    exposed = named.exposed
    assert found["training patients exposed"] == (f"{exposed.low} to {exposed.high} of 24", "0")
    assert found["named as copies"][0] == (
        f"{named.copies.suspect} of 40, {named.copies.sure} for sure"
    )
    assert found["memorized, n_mem / N"][0].startswith(f"{dar['n_mem'].count} of 24 training")
    assert found["memorized, n_mem / N"][1] == f"{100 * dar['n_mem'].null:.1f}%"
    assert found["planted copies noticed"] == ("78 of 80 planted copies (97.5%)", "5%")
    bare = {title for title, (_, chance) in found.items() if not chance}
    assert bare <= {
        "strangers' tail",
        "margins to a second patient",
        "training and validation patients",
        "other synthetic images and strangers",
    }


def test_dar_is_explained_where_it_first_appears(audited):
    shown = page_of(audited)
    shown = re.sub(r"<[^>]+>", "", shown[shown.index("<body>") :])
    first = shown.index("dar:")
    assert not re.search(r"\bdar\b", shown[:first])
    assert "Dar et al. (arXiv 2402.01054)" in shown[first : first + 100]


def test_what_the_names_rest_on_is_told(audited):
    shown, found = page_of(audited), read_audit(audited / "audit.json").evidence
    part = shown[shown.index("What the names rest on") :]
    for named in (found.copies, found.training_images, found.patients):
        assert p_value(named.check) in part
        assert "margins: " in part and p_value(named.margin_check) in part
    models = {"gumbel": "Gumbel distribution", "pareto": "generalised Pareto"}
    assert models[found.copies.model] in part
    assert f"above a similarity of {found.threshold.similarity:.3f}" in part
    assert f"{p_value(found.comparable.synthetic.p)}, shifted by" in part
    assert "not tested" in part  # training against validation patients


def test_how_many_of_the_most_alike_are_copies_stands_with_the_pairs(audited):
    shown, arrays = page_of(audited), read_arrays(audited / "arrays.h5", "audit")
    least = arrays["copies_at_least"]
    low = read_audit(audited / "audit.json").evidence.copy_rate.low
    most = min(least.max(), round(low * len(least)))
    assert most > arrays["copies_sure"].sum()
    order = np.argsort(-arrays["synthetic_train"], kind="stable")
    first = next(k for k in range(1, len(order) + 1) if least[order[:k]].max() >= most)
    assert f"of the first {first} synthetic images, the most alike first, at least {most}" in shown


def _with_rate(low, exposed):
    rate = RateInterval(estimate=0.7, low=low, high=1.0)
    return evidence(exposed=exposed, copy_rate=rate)


def test_a_count_below_that_of_the_sure_names_is_no_second_answer():
    from memtk.report.sections import at_least

    found = {"copies_at_least": np.array([2, 0, 1]), "copies_sure": np.array([1, 0, 0])}
    found_of = _with_rate(2 / 3, (0, 9))
    assert at_least(found, found_of) == [
        "of the first 3 synthetic images, the most alike first, at least 2 are copies"
    ]
    assert not at_least(found | {"copies_sure": np.array([1, 0, 1])}, found_of)


def test_the_pairs_say_no_more_copies_or_exposed_images_than_the_first_lines():
    from memtk.report.sections import at_least

    found = {f"{side}_at_least": np.array([4, 1, 2, 3, 0]) for side in ("copies", "exposure")}
    found_of = _with_rate(0.41, (3, 9))
    first, second = at_least(found, found_of)
    assert first.startswith("of the first 3 synthetic") and "at least 2 are copies" in first
    assert second.startswith("of the first 4 training") and "at least 3 are exposed" in second
    assert not at_least(found, _with_rate(0.0, (0, 9)))


@pytest.fixture
def solid(make_audit_run):
    """The folder of an audit of volumes, with its report."""
    return build_audit_report(make_audit_run((8, 10, 12), copied=0.4)).parent


@pytest.mark.parametrize("audit", ["audited", "solid"])
def test_the_page_names_no_patient_no_file_and_no_path(audit, request):
    folder = request.getfixturevalue(audit)
    data = (folder / "report.html").read_bytes()
    embedded = [base64.b64decode(b) for b in re.findall(rb"base64,([A-Za-z0-9+/=]+)", data)]
    assert len(embedded) > 30
    for part in [data, *embedded]:
        for secret in (b"PAT-", b"Doe_John", b"/home/", b".h5", b".csv", b"net.pt", b"manifest."):
            assert secret not in part
        assert str(folder).encode() not in part
    assert (folder / "key").read_text().encode() not in data


def test_the_page_works_offline_runs_no_script_and_is_the_same_wherever_it_lies(audited, tmp_path):
    shown = (audited / "report.html").read_text()
    assert "default-src 'none'" in shown
    assert not re.search(r"<(script|link|iframe|object|embed)|@import|url\(|https?://[^w]", shown)
    shutil.copytree(audited, tmp_path / "elsewhere")
    assert build_audit_report(tmp_path / "elsewhere").read_text() == shown


def test_an_audit_of_embeddings_shows_no_pictures_and_does_not_miss_them(page):
    shown = re.sub("</?span[^>]*>", "", page(given=True))
    assert "The nearest pairs" not in shown and "<article" not in shown
    assert '<th scope="row">identical' not in shown
    assert "none: embeddings were given" in shown and "--embeddings YOUR_EMBEDDINGS" in shown


def test_copies_that_came_with_embeddings_are_not_said_to_have_been_made(make_audit_run):
    folder = make_audit_run(given=True)
    audit = read_audit(folder / "audit.json")
    bare = audit.selftest.model_copy(update={"plants": []})
    write_audit(folder / "audit.json", audit.model_copy(update={"selftest": bare}))
    shown = text(folder)
    assert "80 planted copies came along with the embeddings" in shown
    assert "Training images were copied" not in shown and "planted copies noticed<" in shown


def test_without_the_images_or_arrays_the_numbers_are_still_reported(make_audit_run, plain):
    folder = make_audit_run()
    shutil.rmtree(folder / "data")
    assert "The pictures are left out" in text(folder)
    (folder / "arrays.h5").unlink()
    assert "Histograms of nearest" not in text(folder)


def test_what_was_not_tested_is_said_to_be_so(page):
    shown = page(exposure=False, noticed=None)
    assert shown.count("not tested") >= 2 and "not measured" in shown
    assert "Would copies be noticed?" not in shown


def test_few_validation_patients_are_said_to_decide_nothing(page):
    shown = page(sizes=(24, 8, 30))
    assert "8 validation patients are too few to model their tail" in shown
    assert "none: ranks alone" in shown
    assert "8 validation patients no single p-value can reach 0.05" in shown
    assert shown.count("No p-value can be as small as 0.05.") >= 1


def test_the_policy_and_the_notes_are_on_the_page(page):
    shown = page(policy=Policy(max_copy_rate=0.02, max_exposed_patients=0.1))
    rows = re.findall(r"<td>([\d.]+%)</td><td class=\"muted\">(\w+)</td>", shown)
    assert {("2%", "max_copy_rate"), ("10%", "max_exposed_patients")} <= {*rows}
    assert "--policy" in shown
    assert "Nothing said whose the images are." in shown


def test_an_audit_that_is_not_finished_or_damaged_is_an_error_that_names_the_file(make_audit_run):
    folder = make_audit_run()
    (folder / "audit.json").write_text("{")
    with pytest.raises(UserError, match=r"audit\.json is damaged"):
        build_audit_report(folder)
    (folder / "audit.json").unlink()
    with pytest.raises(UserError, match=r"there is no .*audit\.json"):
        build_audit_report(folder)


def test_the_bench_shows_its_self_test_and_copy_rate_where_they_were_computed(
    make_run, audited, plain
):
    folder = make_run()
    path = folder / "cells/monai/result.json"
    result = read_result(path)
    write_result(path, without_copy_rate(result))
    before = text_of_bench(folder)
    assert "Would copies be noticed?" not in before and "Copy rate not computed" in before
    changes = {
        "confidence": 0.95,
        "copy_rate": RateInterval(estimate=0.4, low=0.2, high=0.61),
        "copy_rate_upper_bound": 0.58,
    }
    found = result.last.evidence.model_copy(update=changes)
    last = result.last.model_copy(update={"evidence": found})
    selftest = read_audit(audited / "audit.json").selftest
    changed = {"checkpoints": [*result.checkpoints[:-1], last], "selftest": selftest}
    write_result(path, result.model_copy(update=changed))
    shown = text_of_bench(folder)
    assert "Would copies be noticed?" in shown
    assert "Copy rate 40%, 95% interval 20 to 61%; 0 if nothing is copied" in shown
    low, high = found.exposed.low, found.exposed.high
    assert f"Between {low} and {high} of 24 training patients exposed" in shown
    assert "What the names rest on" in shown


def text_of_bench(folder):
    return build_report(folder).read_text()
