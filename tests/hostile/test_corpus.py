"""Each file of an attacker is refused by a sentence, or read, within a budget."""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hostile.corpus_of_models import CLASSES
from torch.nn import Linear

from memtk.auditing.arrays import read_embeddings
from memtk.components import find_component
from memtk.config import build, load_json
from memtk.data.config import DataConfig
from memtk.data.layouts import read_source
from memtk.data.public.unpack import unpack
from memtk.data.readers import Readers
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk.results import read_policy
from memtk.training.files import read_file
from memtk_contrastive.files import read_tensors
from memtk_meddiff.files import read_tensors as read_published
from memtk_monai.bundle_files import load_weights
from memtk_pretrained.weights import read_weights

SECONDS, BYTES, DISK = 20, 10**9, 10**9
"""What reading one file may take. The seconds are for a machine that does much else."""


def read_images(path, registry):
    readers = Readers(registry)
    for record in list(readers.records(path))[:2]:
        readers.read(record)


def read_table(path, registry):
    config = build(DataConfig, {"source": str(path)}, where="data")
    read_source(str(path), config, Readers(registry))


def make_bundle(folder, registry):
    settings = {"path": str(folder)}
    part = find_component(registry, "generator", "monai-bundle", settings, "smoke")
    part.make(ImageSpec((16, 16), 1, (1.0, 1.0)))


def fill(path):
    return load_weights(Linear(1, 1), path, "U-Net")


def load_all(path, registry):
    """Load weights by every loader; each refuses them."""
    loaders = (read_tensors, read_weights, read_file, read_published, fill)
    for load in loaders:
        with pytest.raises(UserError):
            load(path)


READ = {
    "images": read_images,
    "manifests": read_table,
    "embeddings": lambda path, _: read_embeddings(path),
    "MONAI bundles": make_bundle,
    "JSON of models": lambda path, _: load_json(path, "it is needed"),
    "policies in TOML": lambda path, _: read_policy(path),
    "weights": load_all,
    "archives": lambda path, _: unpack(path, path.parent / "out"),
}
INPUTS = [(kind, name) for kind, inputs in CLASSES.items() for name in inputs]


def most():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
@pytest.mark.parametrize(("kind", "name"), INPUTS, ids=lambda word: word[:60])
def test_a_hostile_file_is_refused_by_a_sentence_within_its_budget(
    kind, name, tmp_path, registry, monkeypatch
):
    (tmp_path / "in").mkdir()
    path = CLASSES[kind][name](tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    Path("/proc/self/clear_refs").write_text("5")
    before, begin = most(), time.monotonic()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stderr(io.StringIO()),
        np.errstate(all="ignore"),
    ):
        warnings.simplefilter("ignore")
        try:
            READ[kind](path, registry)
        except UserError as error:
            said = str(error)
            assert len(said.splitlines()) <= 7 and len(said) < 3000, said
            assert str(path)[:200] in said or path.name in said or kind == "MONAI bundles", said
    assert time.monotonic() - begin < SECONDS
    assert most() - before < BYTES
    assert not (tmp_path / "pwned").exists() and not list(tmp_path.rglob("*pwned*"))
    out = tmp_path / "in/out"
    files = [p for p in out.rglob("*") if p.is_file()] if out.exists() else []
    assert sum(p.stat().st_size for p in files) < DISK


def test_the_corpus_has_at_least_300_inputs_of_eight_classes():
    assert sum(map(len, CLASSES.values())) >= 300
    assert set(READ) == set(CLASSES) and min(map(len, CLASSES.values())) >= 10
