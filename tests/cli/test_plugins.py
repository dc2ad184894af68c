"""`memtk plugins`: what is shown of plugins, `test` and `new`."""

from __future__ import annotations

import re
import textwrap
import uuid

import click
import pytest
from click.testing import CliRunner

from memtk.cli import COMMANDS, cli

GOOD = """
    @hookimpl
    def memtk_similarities():
        return [Component("{name}", "{target}", "A measure.", {more})]
"""

MEASURE = """
    class Measure:
        space = "embedding"
        def prepare(self, rows):
            return rows
        def compare(self, queries, references):
            return {compare}
"""


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(cli, [str(a) for a in arguments])
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result.output

    return invoke


@pytest.fixture
def measure(write_plugin, tmp_path):
    """Install a similarity: `measure(compare, more)`."""

    def write(compare, more="", name="mine"):
        module = f"measure_{uuid.uuid4().hex[:8]}"
        (tmp_path / "site" / f"{module}.py").write_text(
            "import torch\nfrom memtk.testing import Case\n"
            + textwrap.dedent(MEASURE.format(compare=compare))
            + "KNOWN = Case(Measure, known={'a_row_is_most_like_itself': 'a reason'})\n"
            + "LOST = Case(Measure, known={'a_row_is_most_like_itselv': 'a reason'})\n"
            + "TWO = (Case(Measure, tolerance=1e-3), Case(Measure, tolerance=2e-3))\n"
            + "OTHER = (Case(dict, kind='similarity'),)\n"
        )
        source = GOOD.format(name=name, target=f"{module}:Measure", more=more.format(module=module))
        write_plugin(name, source)

    return write


CITY = "-torch.cdist(queries, references, p=1)"


def test_the_summaries_of_the_commands_are_the_first_sentences_of_their_help():
    context = click.Context(cli)
    for name, summary in COMMANDS.items():
        assert cli.get_command(context, name).get_short_help_str(200) == summary
    assert cli.list_commands(context) == list(COMMANDS) == sorted(COMMANDS)


def test_a_sound_component_passes_and_every_check_is_shown(run, measure):
    measure(CITY)
    shown = run("plugins", "test", "mine")
    assert "mine (similarity of memtk-mine 1.0)" in shown and "failed" not in shown
    assert "passed   tiles make the whole" in shown
    assert "skipped  pairs give what compare gives" in shown and "it has no method pairs" in shown
    assert shown.splitlines()[-1].startswith("20 passed, 2 skipped in ")


def test_a_broken_rule_is_one_sentence_and_the_exit_code_is_3(run, measure):
    measure("torch.cdist(queries, references)")
    shown = run("plugins", "test", "memtk-mine", "--check", "a-row-is-most-like-itself", code=3)
    (line,) = [line for line in shown.splitlines() if line.startswith("failed")]
    assert line.endswith("larger must mean more alike")
    assert "1 failed in" in shown


def test_what_failed_of_several_cases_is_said_again_at_the_end(run, measure):
    measure("torch.cdist(queries, references)", 'cases="{module}:TWO"')
    shown = run("plugins", "test", "mine", "--check", "a-row-is-most-like-itself", code=3)
    last = shown.splitlines()[-3:]
    assert all(
        line.startswith("failed") and "a row is most like itself" in line for line in last[:2]
    )
    assert last[2].startswith("2 failed in ")


def test_what_fails_on_volumes_alone_is_told_how_to_say_that_it_is_for_pictures(
    run, write_plugin, tmp_path
):
    module = f"flat_{uuid.uuid4().hex[:8]}"
    (tmp_path / "site" / f"{module}.py").write_text(
        "class Flat:\n"
        "    def __call__(self, real, synthetic):\n"
        "        assert len(real.spec.shape) == 2\n"
        "        return {'flat': 1.0}\n"
    )
    source = """
    @hookimpl
    def memtk_quality_metrics():
        return [Component("flat", "%s:Flat", "A measure.")]
"""
    write_plugin("flat", source % module)
    shown = run("plugins", "test", "flat", code=3)
    said = "flat fails on 3D images alone: if it is not for these, its record says so, "
    assert said + "Component(..., dims=frozenset({2}))" in shown


def test_a_known_failure_is_shown_with_its_reason_and_is_no_failure(run, measure):
    measure("torch.cdist(queries, references)", 'cases="{module}:KNOWN"')
    shown = run("plugins", "test", "mine", "--check", "a row is most like itself")
    assert "known" in shown and "a reason (Measure: another row" in shown


def test_a_known_failure_that_passes_is_a_failure(run, measure):
    measure(CITY, 'cases="{module}:KNOWN"')
    shown = run("plugins", "test", "mine", "--check", "a-row-is-most-like-itself", code=3)
    assert "it passes, and is a known failure: 'a reason'; take it off `known`" in shown


def test_a_known_failure_of_no_check_is_a_failure(run, measure):
    measure(CITY, 'cases="{module}:LOST"')
    shown = run("plugins", "test", "mine", "--check", "space-is-known", code=3)
    assert "Did you mean 'a_row_is_most_like_itself'?" in shown


@pytest.mark.parametrize(
    ("cases", "sentence"),
    [("OTHER", "has no Case of Measure"), ("GONE", "cannot be imported from")],
)
def test_cases_that_are_not_there_are_told(run, measure, cases, sentence):
    measure(CITY, f'cases="{{module}}:{cases}"')
    assert sentence in run("plugins", "test", "mine", code=2)


def test_a_plugin_that_cannot_be_imported_has_failed(run, write_plugin):
    write_plugin("bad", "1 / 0")
    shown = run("plugins", "test", "bad", code=3)
    assert (
        "plugin 'bad' of memtk-bad 1.0 is left out: its import failed: ZeroDivisionError" in shown
    )


def test_a_missing_package_is_skipped_with_the_command_that_brings_it(run, measure):
    measure(CITY, 'needs=("no_such_module",), install="pip install it"')
    shown = run("plugins", "test", "mine")
    assert shown.count("it needs no_such_module: pip install it") == 1 and "the same" in shown
    shown = run("plugins", "test", "mine", "--check", "tiles-make-the-whole", code=3)
    assert "no check could be run" in shown


def test_what_needs_settings_or_an_example_says_how_to_give_them(run):
    shown = run("plugins", "test", "images", "--check", "samples-are-images", code=3)
    assert "it needs the settings source: give them with --set" in shown


def test_an_example_is_given_on_the_command_line(run, tmp_path):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY damaged")
    check = ("--check", "volumes-are-sound", "--example", tmp_path / "a.npy")
    assert "cannot read" in run("plugins", "test", "numpy", *check, code=3)


def test_settings_are_given_on_the_command_line(run):
    check = ("--check", "presets-fit-the-config", "--set")
    assert "2 passed" in run("plugins", "test", "datasize", *check, "fraction=0.5")
    shown = run("plugins", "test", "datasize", *check, "fraction=7", code=2)
    assert "less than or equal to 1" in shown
    assert "Did you mean" in run("plugins", "test", "datasize", *check, "fractoin=1", code=2)


def test_an_unknown_name_or_check_gets_the_nearest_one(run):
    shown = run("plugins", "test", "pearsn", code=2)
    assert "Did you mean 'pearson'?" in shown and "pip install" in shown
    shown = run("plugins", "test", "pearson", "--check", "tiles-make-a-whole", code=2)
    assert "Did you mean 'tiles_make_the_whole'?" in shown
    assert "say what to check" in run("plugins", "test", code=2)


def test_the_checks_are_listed_with_what_they_say(run):
    shown = run("plugins", "test", "--list")
    assert "batch-size-does-not-change-samples" in shown and "records-open-no-voxels" in shown
    shown = run("plugins", "test", "pearson", "--list")
    assert "Larger means more alike." in shown and "samples" not in shown


MISBEHAVING = {
    "raises": "raise RuntimeError('at import')",
    "misspells": "@hookimpl\ndef memtk_generator():\n    return []\n",
    "thief": "@hookimpl\ndef memtk_generators():\n"
    "    return [Component('copycat', 'no_such:Thing', 'Not the real one.')]\n",
    "needy": "@hookimpl\ndef memtk_readers():\n"
    "    return [Component('needy', 'no_such:Reader', 'One.', needs=('no_such',))]\n",
    "old": "@hookimpl\ndef memtk_readers():\n"
    "    return [Component('old', 'json:JSONDecoder', 'One.', api=0)]\n",
    "gone": "@hookimpl\ndef memtk_readers():\n"
    "    return [Component('gone', 'no_such:R', 'One.')]\n",
}
LINES = {
    "raises": "plugin 'raises' of memtk-raises 1.0 is left out: its import failed: RuntimeError",
    "misspells": "there is no hook 'memtk_generator'. Did you mean 'memtk_generators'?",
    "thief": "generator 'copycat' is brought by thief (memtk-thief) and toy (memtk): say thief/",
    "old": "reader 'old' of plugin 'old' is written for plugin interface 0; this memtk has 1",
}


def test_a_plugin_is_said_to_watch_runs_only_if_it_does(run, write_plugin):
    write_plugin("idle", "")
    write_plugin("watching", "@hookimpl\ndef memtk_run_event(event):\n    pass\n")
    shown = run("plugins")
    assert "of memtk-idle 1.0: brings nothing" in shown
    assert "of memtk-watching 1.0: watches runs" in shown


@pytest.mark.parametrize(
    ("many", "one"),
    [("generators", "generator"), ("similarities", "similarity"), ("attacks", "attack")],
)
def test_the_plural_of_a_kind_is_the_kind(run, many, one):
    assert run("list", many) == run("list", one) != run("list")


def test_misbehaving_plugins_get_one_line_each_and_leave_every_command_working(
    run, write_plugin, tmp_path
):
    for name, source in MISBEHAVING.items():
        write_plugin(name, source)
    listed = run("list")
    assert "monai3d" in listed and "Needs no_such: pip install no_such" in listed
    for line in LINES.values():
        assert sum(line in shown for shown in listed.splitlines()) == 1, line
    shown = " ".join(run("plugins").split())
    assert "RuntimeError: at import" in shown and "monai3d" in shown
    dry = ("bench", "-g", "independent", "--preset", "smoke", "--dry-run")
    assert "independent" in run(*dry)
    (tmp_path / "a.xyz").write_text("")
    (tmp_path / "a.csv").write_text("path,patient_id,split\na.xyz,1,training\n")
    refused = run("check", "--data", tmp_path / "a.csv", code=2)
    refused = re.sub(r"\s+", " ", refused)  # a narrow column breaks its lines
    assert "needy (needs no_such)" in refused and "Left out: gone (PluginError" in refused
    assert "say thief/copycat or toy/copycat" in run("bench", "-g", "copycat", code=2)


def test_new_writes_a_package_and_says_what_to_type(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = run("plugins", "new", "fresh-model")
    assert "pip install --editable fresh-model" in shown
    assert "memtk plugins test fresh-model" in shown
    assert (tmp_path / "fresh-model" / "fresh_model" / "generator.py").is_file()
    assert "is there already" in run("plugins", "new", "fresh-model", code=2)
    run("plugins", "new", "fresh-reader", tmp_path / "a" / "b", "--kind", "reader")
    assert (tmp_path / "a" / "b" / "fresh_reader" / "reader.py").is_file()
