"""Settings that ask for the impossible are refused before anything runs; no record holds NaN."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from memtk.cli import cli
from memtk.components import find_component
from memtk.config import load_toml
from memtk.errors import UserError
from memtk.interfaces import ImageSpec

BENCH = ("bench", "-g", "monai2d", "--suite", "phantom2d", "--preset", "smoke", "--out", "run")

IMPOSSIBLE = (
    *("data.shape=100000,100000", "data.shape=1,500", "data.shape=0,8", "data.shape=-8,8"),
    *("data.shape=2,2", "data.shape=7,7,7", "data.shape=2,500", "data.shape=3,7,40"),
    *("data.shape=8", "data.spacing=nan,nan", "data.spacing=1e-9,1e-9", "data.spacing=inf,1"),
    *("data.spacing=0,1", "data.percentiles=nan,nan", "data.percentiles=99,1"),
    *("data.validation=nan", "data.validation=2", "data.phantom.size=100000"),
    *("data.phantom.training=1000000000", "data.limit.training=99999999999999999999"),
    *("bench.checkpoints=1000000000", "bench.samples=1000000000000", "bench.seed=-1"),
    *("bench.seed=99999999999999999999999", "bench.alpha=nan", "bench.fdr=1"),
    *("bench.alpha=1e-320", "bench.fdr=1e-300", "bench.alpha=0"),
    *("bench.batch_size=0", "bench.plants=-1", "bench.batch_size=99999999999999999999"),
    *("generator.diffusion.steps=1000000000000", "generator.diffusion.steps=-1"),
    *("generator.diffusion.ema_decay=nan", "generator.diffusion.clip_norm=inf"),
    *("generator.autoencoder_rate=nan", "generator.kl_weight=inf", "generator.channels=0,4"),
    *("bench.samples=true", "bench.seed=true", "bench.checkpoints=false", "bench.alpha=true"),
    *("data.validation=false", "generator.diffusion.steps=true", "generator.channels=true,4"),
    *("embedder.width=true", "data.phantom.training=true", "bench.batch_size=1000000"),
    *("generator.diffusion.batch_size=1000000", "embedder.training.batch_size=1"),
    *("bench.samples=٣٢", "bench.samples=0,5", "bench.samples=2020-01-01", "bench.samples={a=1}"),
    *("bench.samples.x=3", "bench.'samples'=3", "bench. samples=3", "bench=3", "bench..seed=3"),
    *("generator.channels=-4,4", "generator.channels=a,b", "generator.diffusion=3"),
    *("pearson.x=1", "[red]x.y=1"),
    *("data.held_out=0.9,0.9", "data.patient_pattern=(", "data.labels=true", "x\\x1b[2J.y=1"),
    *("bench.canaries=1000000", "bench.mitigation=3", "bench.quality=3", "monai3d.channels=4"),
    f"bench.samples={'9' * 5000}",
    *("generator.timesteps=99999999999999999999", "embedder.temperature=nan"),
    *("embedder.embedding=99999999999999999999", "embedder.dropout=nan", "data.shape=[[[[[[[[8"),
    "data.shape=" + "[" * 10_000,
)


@pytest.mark.parametrize("setting", IMPOSSIBLE, ids=lambda text: text[:40])
def test_a_setting_that_asks_for_the_impossible_is_refused_before_anything_runs(
    setting, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, [*BENCH, "--set", setting])
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit), done.output
    assert len(done.output) < 3000 and not list(tmp_path.iterdir())


NO_NUMBERS = (
    ("data", "make", "phantom2d", "made", "--copies"),
    ("data", "make", "phantom2d", "made", "--as", "audit", "--copies"),
    (
        "results",
        "rerun",
        str(Path(__file__).parents[1] / "results/result-schema-3.json"),
        "--tolerance",
    ),
    ("selftest", "--data", "phantom2d", "--confidence"),
    ("audit", "--data", "phantom2d", "--synthetic", "s", "--alpha"),
    ("audit", "--data", "phantom2d", "--synthetic", "s", "--fdr"),
)


@pytest.mark.parametrize("words", NO_NUMBERS, ids=lambda words: f"{words[0]} {words[-1]}")
@pytest.mark.parametrize("number", ["nan", "-NaN", "inf", "1e999"])
def test_an_option_that_is_no_finite_number_is_refused(number, words, tmp_path, monkeypatch):
    """Nothing is beyond NaN: a repetition whose numbers all differ would agree within it."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, [*words, number])
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit), done.exception
    assert words[-1] in done.output or f"audit.{words[-1][2:]}" in done.output
    assert not list(tmp_path.iterdir())


TWICE = {
    "bench.generator=copycat": BENCH,
    "bench.preset=demo": BENCH,
    "bench.mitigation=[]": (*BENCH, "-m", "augment"),
    "data.condition=view": (*BENCH, "--condition", "view"),
    "bench.preset=smoke": ("study", "--vary", "samples=4,8", "--preset", "smoke"),
    "bench.compare=augment": ("study", "--vary", "seed=0,1", "-c", "augment", "-g", "copycat"),
    "audit.seed=1": ("audit", "--data", "d", "--synthetic", "s", "--seed", "1"),
    "data.synthetic_source=t": ("audit", "--data", "d", "--synthetic", "s"),
    "audit.plants=1": ("selftest", "--data", "d", "--plants", "2"),
    "data.stratify=site": ("check", "d", "--stratify", "site"),
}


@pytest.mark.parametrize("setting", TWICE)
def test_what_a_setting_and_an_option_both_say_is_refused(setting, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, [*TWICE[setting], "--set", setting])
    key = setting.partition("=")[0]
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit), done.output
    assert f"{key} is said twice, by --set and by an option" in " ".join(done.output.split())
    assert not list(tmp_path.iterdir())


TABLES = b'[data]\nsource="phantom2d"\n[data.phantom]\ntraining=20\n'

FILES = {
    "utf-16": (TABLES.decode().encode("utf-16"), "not valid TOML"),
    "latin-1": (TABLES + b"# \xe9", "not valid TOML"),
    "zeros": (b"\0\0", "not valid TOML"),
    "a-key-twice": (TABLES + b"training=3", "not valid TOML"),
    "a-table-twice": (TABLES + b"[data]", "not valid TOML"),
    "deep": (b"x=" + b"[" * 100_000, "nested too deep"),
    "json": (b'{"bench": {}}', "not valid TOML"),
    "digits": (TABLES + b"size=" + b"9" * 5000, "not valid TOML: it has a whole number of"),
    "a-date": (TABLES + b"seed=2020-01-01", "data.phantom.seed"),
    "a-time": (TABLES + b"size=12:00:00", "data.phantom.size"),
    "a-space": (TABLES + b'"training "=3', "Did you mean 'training'"),
    "no-name": (TABLES + b'""=3', "unknown key 'data.phantom.'"),
    "escape": (TABLES + b'"\\u001b[2J"=1', "unknown key"),
    "many-keys": (TABLES + b"".join(b"k%d=1\n" % i for i in range(2000)), "and 1991 more"),
    "many-tables": (b"".join(b"[s%d]\nx=1\n" % i for i in range(2000)), "unknown key"),
    "a-near-table": (TABLES + b"[dtaa]\nx=1", "Did you mean 'data'"),
    "a-list-of-tables": (TABLES + b"[[generator]]\nx=1", "expected keys below it"),
    "a-number": (b"seed=1\n" + TABLES, "expected keys below it"),
    "a-text": (b'data="phantom2d"', "expected keys below it"),
    "a-list": (b"bench=[1]", "expected keys below it"),
    "no-generator": (TABLES + b"[bench]\ngenerator=[]", "bench.generator"),
    "number-3": (TABLES + b"[bench]\ngenerator=3", "generator"),
    "numbers": (TABLES + b"[bench]\ngenerator=[3]", "generator"),
    "a-flag": (TABLES + b"[bench]\ngenerator=true", "generator"),
    "preset-3": (TABLES + b"[bench]\npreset=3", "bench.preset"),
}
"""Files of settings, and what is said of them."""


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_settings_that_says_nonsense_is_refused_before_anything_runs(name, tmp_path):
    content, says = FILES[name]
    (tmp_path / "c.toml").write_bytes(content)
    words = ("bench", "--config", str(tmp_path / "c.toml"), "--out", str(tmp_path / "run"))
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit), done.exception
    assert re.search(says, done.output) and "\x1b" not in done.output
    assert len(done.output.splitlines()) <= 10 and not (tmp_path / "run").exists()


@pytest.mark.parametrize("change", [b"\xef\xbb\xbf", b"#" + b"x" * 10_000_000 + b"\n"])
def test_a_file_of_settings_as_windows_writes_it_is_read(change, tmp_path):
    (tmp_path / "c.toml").write_bytes(change + TABLES.replace(b"\n", b"\r\n"))
    assert load_toml(tmp_path / "c.toml")["data"]["phantom"] == {"training": 20}


LARGE = (
    *("width=1000000000", "embedding=1000000000", "embedding=100000000", "hidden=1000000000"),
    *("bottleneck=1000000000", "width=1000000"),
)


@pytest.mark.parametrize("setting", LARGE)
def test_an_embedder_that_fits_in_no_memory_is_refused_when_it_is_made(setting, registry):
    key, _, value = setting.partition("=")
    part = find_component(registry, "embedder", "ntxent2d", {key: int(value)}, "smoke")
    with pytest.raises(UserError, match="ntxent2d .*make it smaller"):
        part.make(ImageSpec((32, 32), 1, (1.0, 1.0)))


@pytest.mark.parametrize("key", ["res_blocks", "unet_res_blocks", "latent_channels"])
def test_a_generator_of_a_billion_blocks_is_refused_when_it_is_made(key, registry):
    part = find_component(registry, "generator", "monai2d", {key: 10**9}, "smoke")
    with pytest.raises(UserError, match="monai2d .*make it smaller"):
        part.make(ImageSpec((32, 32), 1, (1.0, 1.0)))


def test_an_error_of_a_model_that_is_not_about_memory_stays_what_it_is(registry, monkeypatch):
    part = find_component(registry, "embedder", "ntxent2d", {}, "smoke")

    def fail(*_):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(part.cls, "__init__", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        part.make(ImageSpec((32, 32), 1, (1.0, 1.0)))


def numbers(tree):
    if isinstance(tree, dict):
        return [n for value in tree.values() for n in numbers(value)]
    if isinstance(tree, list):
        return [n for value in tree for n in numbers(value)]
    return [tree] if isinstance(tree, float) else []


LARGE_ROWS = {"nan": np.nan, "inf": -np.inf, "1e16": 1e16, "1e39": -1e39, "1e300": 1e300}


@pytest.mark.parametrize("size", LARGE_ROWS)
@pytest.mark.parametrize("where", ["train", "synthetic"])
def test_embeddings_that_no_float_holds_are_refused(size, where, tmp_path):
    rng = np.random.default_rng(0)
    sets = {name: rng.normal(size=(6, 3)) for name in ("train", "validation", "synthetic")}
    sets[where][4, 1] = LARGE_ROWS[size]
    np.savez(tmp_path / "e.npz", **sets)
    words = ("audit", "--embeddings", str(tmp_path / "e.npz"), "--out", str(tmp_path / "run"))
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit), done.exception
    assert f"row 4 of {where} holds NaN, infinite values or numbers beyond" in done.output


def alike(count):
    return np.ones((count, 4))


def zeros(count):
    return np.zeros((count, 4))


def twins(count):
    return np.repeat(np.random.default_rng(0).normal(size=(1, 4)), count, 0)


@pytest.mark.parametrize("rows", [alike, zeros, twins])
@pytest.mark.parametrize("where", ["train", "validation", "synthetic", "all"])
def test_the_record_of_an_audit_never_holds_nan(rows, where, tmp_path):
    """Embeddings that are constant have no correlation: no number, or none that is NaN."""
    rng = np.random.default_rng(1)
    sets = {name: rng.normal(size=(8, 4)) for name in ("train", "validation", "synthetic")}
    for name in sets if where == "all" else [where]:
        sets[name] = rows(8)
    np.savez(tmp_path / "e.npz", **sets)
    words = ("--embeddings", str(tmp_path / "e.npz"), "--out", str(tmp_path / "run"))
    done = CliRunner().invoke(cli, ["audit", *words])
    assert isinstance(done.exception, SystemExit | None), done.exception
    record = tmp_path / "run/audit.json"
    assert done.exit_code in (0, 2, 3, 4) and record.exists() == (done.exit_code != 2)
    if record.exists():
        text = Path(record).read_text()
        assert all(math.isfinite(n) for n in numbers(json.loads(text))) and "NaN" not in text
