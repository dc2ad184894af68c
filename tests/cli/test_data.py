from __future__ import annotations

import hashlib

import numpy as np
import pytest
from click.testing import CliRunner

from memtk.cli import cli
from memtk.data.public.catalogue import PUBLIC, PublicFile, PublicSet, medmnist_sets


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMTK_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "160")

    def invoke(*arguments):
        return CliRunner().invoke(cli, ["data", *map(str, arguments)])

    return invoke


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """A public set `tiny` of one file that lies where it would be fetched to."""
    folder = tmp_path / "home/tiny"
    folder.mkdir(parents=True)
    np.savez(folder / "tiny.npz", train_images=np.zeros((2, 8, 8)))
    md5 = hashlib.md5((folder / "tiny.npz").read_bytes()).hexdigest()
    file = PublicFile("tiny.npz", "http://127.0.0.1:9/tiny.npz", f"md5:{md5}")
    made = PublicSet(
        "tiny", "Tiny", 2, 2, "CC0", ("Someone 2020",), "http://x", (file,), unpack=False
    )
    made = PublicSet(**made.__dict__ | {"top": "tiny.npz"})
    monkeypatch.setitem(PUBLIC, "tiny", made)
    return folder


def test_the_list_says_size_licence_and_what_is_there(run, offered):
    done = run("list")
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line for line in done.output.splitlines()}
    assert "112,120" in lines["chest-xray"] and "45.1 GB" in lines["chest-xray"]
    assert "CC BY-SA 4.0" in lines["hippocampus"] and "sign-up" in lines["mrnet"]
    assert all(lines[name].rstrip().endswith("no") for name in ("hippocampus", "tiny"))
    run("get", "tiny")
    assert "yes" in run("list").output
    assert "medmnist/NAME" in done.output and "phantom3d" in done.output


def test_all_lists_medmnist_too(run):
    if not medmnist_sets():
        pytest.skip("the package medmnist is not installed")
    assert "medmnist/organmnist3d_64" in run("list", "--all").output


def test_licence_and_citation_are_said_before_and_what_to_type_next_after(run, offered):
    done = run("get", "tiny")
    assert done.exit_code == 0, done.output
    said = done.output
    assert said.index("licence: CC0") < said.index("cite: Someone 2020") < said.index("there: ")
    assert "memtk bench --data public:tiny" in said


def test_without_a_network_it_ends_with_2_and_says_what_to_do(run, offered):
    (offered / "tiny.npz").unlink()
    done = run("get", "tiny")
    assert done.exit_code == 2 and "licence: CC0" in done.output
    assert f"put it here: {offered / 'tiny.npz'}" in done.output


def test_a_dry_run_says_what_would_be_fetched_from_where(run, tmp_path):
    done = run("get", "chest-xray", "--dry-run")
    assert done.exit_code == 0
    assert done.output.count("https://nihcc.box.com/shared/static/") == 12
    assert str(tmp_path / "home/chest-xray/archives/images_012.tar.gz") in done.output
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_sign_up_is_explained(run, more):
    done = run("get", "mrnet", *more)
    assert done.exit_code == 2 and "1. open https://stanfordmlgroup" in done.output
    assert "licence: Stanford" in done.output


def test_another_folder_is_said_on(run, offered, tmp_path):
    done = run("get", "tiny", "--out", tmp_path / "home")
    assert f"memtk bench --data {offered / 'tiny.npz'}" in done.output


def test_phantoms_are_written_and_the_next_command_is_said(run, tmp_path):
    sizes = ("--training", 3, "--validation", 2, "--held-out", 1, "--size", 8)
    done = run("make", "phantom2d", tmp_path / "p", *sizes)
    assert done.exit_code == 0, done.output
    assert f"memtk bench --data {tmp_path / 'p/manifest.csv'} --generator monai2d" in done.output
    assert len(list((tmp_path / "p/images").glob("*.png"))) == 6


def test_an_audit_is_written_and_the_next_command_is_said(run, tmp_path):
    sizes = ("--training", 4, "--validation", 2, "--size", 8, "--copies", 0.5)
    done = run("make", "phantom2d", tmp_path / "p", "--as", "audit", *sizes)
    assert done.exit_code == 0, done.output
    assert "truth.csv" in done.output and f"--synthetic {tmp_path / 'p/synthetic'}" in done.output
    assert run("make", "phantom2d", tmp_path / "q", "--as", "audit", "--held-out", 3).exit_code == 2
