"""Protocols applied to finished runs; a protocol of a stranger is seen wherever numbers are."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from fake_runs import write_audit_run, write_run
from rich.console import Console

from memtk.cli import cli
from memtk.errors import UserError
from memtk.evaluation.recompute import recompute
from memtk.leaderboard import collect, write_site
from memtk.plugins import load_plugins
from memtk.registry import Registry, open_registry
from memtk.report import build_report
from memtk.report.terminal import summary
from memtk.results import (
    Counts,
    GroupTest,
    Result,
    read_arrays,
    read_audit,
    read_result,
    write_arrays,
    write_audit,
    write_result,
)
from memtk.results.redact import redact
from memtk.results.seeds import study_csv
from memtk.results.study import Finding, StudyFile

DUMMY = """
    from memtk import Component, hookimpl
    from memtk.interfaces import Measure, ProtocolTable

    class Dummy:
        def __call__(self, similarities, levels):
            near = similarities.train_synthetic > 0.5
            measure = Measure(
                float(near.mean()), "nearer than a half", "training", int(near.sum()), len(near),
                null=0.125,
            )
            return ProtocolTable({"near": measure}, {"training": near})

    class Careless:
        def __call__(self, similarities, levels):
            raise ValueError("/home/me/secret.csv")

    @hookimpl
    def memtk_protocols():
        yield Component("dummy", f"{__name__}:Dummy", "A dummy.")
        yield Component("careless", f"{__name__}:Careless", "A careless one.")
"""


@pytest.fixture
def strange(write_plugin):
    """A registry with the protocols of a stranger, whose plugin is one file."""
    return Registry(load_plugins([write_plugin("strange", DUMMY)], {}))


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run")


def result_of(run):
    return read_result(run / "cells/monai/result.json")


def text_of(what):
    console = Console(record=True, width=160, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(what)
    return console.export_text()


def test_a_protocol_from_outside_has_its_row_in_terminal_page_csv_and_leaderboard(run, strange):
    before = result_of(run)
    found = recompute(run, [strange.find("protocol", "dummy")])
    result = result_of(run)
    near = result.last.measure("dummy", "near")
    assert [each.label for each in found] == ["step-000100", "step-000200"]
    assert near.of == 24 and near.value == near.count / 24 and near.null == 0.125
    assert result.last.evidence == before.last.evidence, "the verdict rests on no protocol"
    assert {**result.last.protocols, "dummy": None} == {**before.last.protocols, "dummy": None}
    assert [p.name for p in result.components.protocols][-1] == "dummy"

    share = f"{near.count} {100 * near.value:.0f}% [12.5%]"
    assert share in text_of(summary([result])) and "near = nearer than a half" in text_of(
        summary([result])
    )
    page = build_report(run).read_text()
    assert "nearer than a half" in page and ">dummy</th>" in page
    table = study_csv(StudyFile(kind="grid"), [Finding("a", {}, result, run)])
    assert "dummy:near_null" in table.splitlines()[0]
    (run / "all").mkdir()
    shown = Result.model_validate(redact(result.model_dump(mode="json")))
    write_result(run / "all" / "result.json", shown)
    site = write_site(collect(run / "all"), run / "site").parent
    assert "dummy: nearer than a half" in (site / "LEADERBOARD.md").read_text()
    assert "dummy:near" in (site / "leaderboard.csv").read_text().splitlines()[0]


def test_a_protocol_applied_twice_changes_nothing(run):
    entries = open_registry().entries("protocol")
    recompute(run, entries)
    first = (run / "cells/monai/result.json").read_bytes()
    recompute(run, entries)
    assert (run / "cells/monai/result.json").read_bytes() == first


def test_a_dry_run_prints_the_tables_and_changes_no_file(run):
    before = (run / "cells/monai/result.json").read_bytes()
    done = CliRunner().invoke(
        cli,
        ["results", "recompute", str(run), "--protocol", "dar", "--dry-run"],
    )
    assert done.exit_code == 0, done.output
    assert "memorized, n_mem / N" in done.output and "no file was changed" in done.output
    assert (run / "cells/monai/result.json").read_bytes() == before


def test_an_audit_is_recomputed_too_and_its_verdict_stays(tmp_path, strange):
    folder = write_audit_run(tmp_path / "audit", copied=0.4)
    before = read_audit(folder / "audit.json")
    recompute(folder, [strange.find("protocol", "dummy")])
    audit = read_audit(folder / "audit.json")
    assert audit.protocols["dummy"]["near"].of == 24 and audit.verdict == before.verdict
    assert audit.applied[-1].name == "dummy"


def test_what_the_images_said_is_kept_where_they_are_not_at_hand(tmp_path):
    folder = write_audit_run(tmp_path / "audit")
    audit = read_audit(folder / "audit.json")
    likeness = GroupTest(p=0.001, size=0.5)
    compared = audit.evidence.comparable.model_copy(update={"likeness": likeness})
    evidence = audit.evidence.model_copy(update={"comparable": compared})
    write_audit(folder / "audit.json", audit.model_copy(update={"evidence": evidence}))
    recompute(folder, [], evidence=True)
    again = read_audit(folder / "audit.json")
    assert again.evidence.comparable.likeness == likeness
    assert "resemble nothing" in " ".join(again.verdict.reasons)


def test_without_arrays_it_is_refused_with_a_way_out(run):
    (run / "cells/monai/arrays.h5").unlink()
    with pytest.raises(UserError, match="has no arrays of step-000100.*results rerun"):
        recompute(run, open_registry().entries("protocol"))


def test_patients_of_several_images_must_be_told_apart_by_the_arrays(run):
    path = run / "cells/monai/result.json"
    result = read_result(path)
    write_result(path, result.model_copy(update={"used_training": Counts(images=48, patients=24)}))
    entries = open_registry().entries("protocol")
    with pytest.raises(UserError, match="does not say whose the training images are"):
        recompute(run, entries)
    arrays = run / "cells/monai/arrays.h5"
    for label in ("step-000100", "step-000200"):
        kept = read_arrays(arrays, label)
        twice = {
            n: np.repeat(a, 2)
            for n, a in kept.items()
            if n.startswith(("train_", "exposure_train_"))
        }
        write_arrays(arrays, label, kept | twice | {"training_patient": np.arange(48) // 2})
    recompute(run, entries)
    assert read_result(path).last.measure("conformal", "patients_exposed").of == 24


def test_a_protocol_that_fails_is_named_without_what_it_says_and_nothing_is_written(run, strange):
    before = (run / "cells/monai/result.json").read_bytes()
    with pytest.raises(UserError, match="protocol careless failed on step-000100") as raised:
        recompute(run, strange.entries("protocol"))
    assert "secret" not in str(raised.value)
    assert (run / "cells/monai/result.json").read_bytes() == before


def test_a_file_that_says_nothing_of_protocols_is_no_run(tmp_path):
    (tmp_path / "notes.json").write_text(json.dumps({}))
    with pytest.raises(UserError, match=r"holds no result\.json"):
        recompute(tmp_path, open_registry().entries("protocol"))


ARRAYS_OF_ANOTHER_MAKE = {
    "shorter": lambda kept: kept[:-5],
    "two axes": lambda kept: kept[None],
    "NaN": lambda kept: np.full(kept.shape, np.nan),
    "texts": lambda kept: kept.astype("S8"),
    "one number": lambda kept: kept[0],
    "none": lambda kept: kept[:0],
}


@pytest.mark.parametrize("name", ["synthetic_train", "validation_train", "train_validation"])
@pytest.mark.parametrize("change", ARRAYS_OF_ANOTHER_MAKE)
def test_arrays_of_another_make_are_refused_with_their_name(change, name, run):
    with h5py.File(run / "cells/monai/arrays.h5", "a") as file:
        changed = ARRAYS_OF_ANOTHER_MAKE[change](file["step-000100"][name][:])
        del file["step-000100"][name]
        file["step-000100"][name] = changed
    done = CliRunner().invoke(cli, ["results", "recompute", str(run), "--evidence"])
    assert isinstance(done.exception, SystemExit | None), done.exception
    assert done.exit_code == 2 and "arrays.h5" in done.output, done.output
