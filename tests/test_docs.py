"""The pages made from the code are current, and what the docs name exists."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import click
import nibabel
import numpy as np
import pytest

from memtk.cli import cli
from memtk.config import build
from memtk.data.config import DataConfig
from memtk.data.sources import open_source
from memtk.registry import open_registry
from memtk.results import Policy, read_policy

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])


def made() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs/make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pages()


def test_the_reference_pages_say_what_the_code_says():
    for name, text in made().items():
        assert (ROOT / "docs/reference" / name).read_text() == text, f"run `make docs` for {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_and_options_in_the_pages_exist(page):
    for line in re.findall(
        r"(?:^| |`)memtk ([a-z]+ [^`\n]*|[a-z]+)(?=`|$)", page.read_text(), re.M
    ):
        name, *words = line.split()
        command = cli.get_command(click.Context(cli), name)
        if command is None:
            continue
        if isinstance(command, click.Group):  # `memtk study --vary ...` is `memtk study grid ...`
            command = command.commands.get(words[0] if words else "", command.commands.get("grid"))
            if command is None:
                continue
        known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        for word in words:
            if word.startswith("-") and word != "-":
                assert word in {*known, "--help"}, f"{page.name}: memtk {name} has no {word}"


def test_the_tour_names_files_that_are_there():
    text = (ROOT / "docs/concepts/architecture.md").read_text(encoding="utf-8")
    places = set(re.findall(r"`([\w/]+(?:\.py|/))`", text))
    folders = ("", "memtk/", "memtk/memorization/", "memtk/results/", "memtk/report/")
    missing = {p for p in places if not any((ROOT / f / p).exists() for f in folders)}
    assert len(places) > 30 and not missing


def test_the_readme_shows_both_commands():
    text = (ROOT / "README.md").read_text()
    assert "make bench" in text and "make test" in text


def test_a_bench_installs_what_it_needs_and_the_tests_the_rest():
    def installs(target):
        made = ["make", "--dry-run", "--always-make", target]
        done = subprocess.run(made, cwd=ROOT, capture_output=True, text=True, check=True)
        return re.findall(r"-m pip (.*) install .*--editable (\S+)", done.stdout)

    quiet = "--disable-pip-version-check --quiet --quiet"  # errors are shown, warnings are not
    assert installs("bench") == [(quiet, ".")]
    assert installs("test") == [(quiet, "."), (quiet, "'.[test,lint,docs]'")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_in_the_pages_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S):
        exec(compile(block, str(page), "exec", dont_inherit=True), names)


def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="the extra `docs` builds the site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr[-2000:]
    assert (tmp_path / "site" / "reference" / "python.html").exists()


def test_the_manifest_of_the_guide_is_read_as_it_says(tmp_path):
    text = (ROOT / "docs/how-to/your-images.md").read_text()
    [block] = re.findall(r"^    path,patient_id,split\n(?: {4}.+\n)+", text, re.M)
    (tmp_path / "manifest.csv").write_text(textwrap.dedent(block))
    (tmp_path / "images").mkdir()
    for name in "abc":
        image = nibabel.Nifti1Image(np.random.default_rng(0).random((4, 5, 6)), np.eye(4))
        nibabel.save(image, tmp_path / f"images/{name}.nii.gz")
    config = build(DataConfig, {"source": str(tmp_path / "manifest.csv")})
    found = open_source(config, open_registry()).samples
    assert [(s.patient, s.split) for s in found] == [
        ("P01", "training"), ("P02", "validation"), ("P03", "held_out"),
    ]  # fmt: skip


def test_the_policy_of_the_reference_is_the_one_that_memtk_takes(tmp_path):
    [block] = re.findall(
        r"```toml\n(.*?)```", (ROOT / "docs/reference/policy.md").read_text(), re.S
    )
    (tmp_path / "policy.toml").write_text(block)
    assert read_policy(tmp_path / "policy.toml") == Policy()


def test_the_pages_follow_the_light_of_the_system_until_a_reader_chooses():
    """Without a palette for both, the theme keeps what the system said at the first visit."""
    text = (Path(__file__).parents[1] / "mkdocs.yml").read_text(encoding="utf-8")
    media = re.findall(r'^    - media: "(.*?)"', text, re.MULTILINE)
    assert media[0] == "(prefers-color-scheme)" and len(media) == 3
