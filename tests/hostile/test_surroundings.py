"""A plugin that leaves the folder or changes the umask while it works: files land as asked."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hostile.odd_plugin import FINE, MODEL, bench

from memtk.surroundings import kept, restore

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")

LEAVE = "[__import__('os').chdir({elsewhere!r}), __import__('os').umask(0)]"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, beside `elsewhere`; files may be read by their owner alone."""
    for name in ("here", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = os.umask(0o027)
    yield tmp_path / "here"
    os.umask(before)


def as_before(here):
    mask = os.umask(0o027)
    assert Path.cwd() == here and mask == 0o027
    assert not [*(here.parent / "elsewhere").iterdir()]
    for path in here.rglob("*"):
        assert not path.stat().st_mode & (stat.S_IWGRP | stat.S_IRWXO), path


MODELS = {
    "sample": ("generator", MODEL.format(**FINE | {
        "x": "({leave}, torch.rand(len(noise), 1, 16, 16) * 2 - 1)[1]"})),
    "phases": ("generator", MODEL.format(**FINE | {
        "phases": "({leave}, ())[1]", "x": "torch.rand(len(noise), 1, 16, 16) * 2 - 1"})),
    "choose": ("mitigation", "class X(Mitigation):\n    def choose(self, patients, rng):\n"
        "        {leave}\n        return np.arange(len(patients))\n"),
    "release": ("mitigation", "class X(Mitigation):\n    def release(self, synthetic):\n"
        "        {leave}\n        return np.arange(len(synthetic))\n"),
    "prepare": ("similarity", "class X:\n    space = 'image'\n    def prepare(self, x):\n"
        "        {leave}\n        return x\n    def compare(self, x, y):\n        {leave}\n"
        "        return x @ y.T\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_bench_whose_plugin_leaves_the_folder_lies_where_it_was_asked(name, here, registry_with):
    kind, source = MODELS[name]
    leave = LEAVE.format(elsewhere=str(here.parent / "elsewhere"))
    registry = registry_with(kind, source.replace("{leave}", leave))
    asked = {"generator": {"generator": ("odd-x",)}, "mitigation": {"mitigation": ("odd-x",)},
             "similarity": {"similarity": "odd-x"}}[kind]  # fmt: skip
    bench(registry, Path(), **asked)
    assert [*Path("run").glob("cells/*/result.json")]
    as_before(here)


def test_a_reader_that_leaves_the_folder_finds_the_next_file(here, registry_with):
    from memtk.config import build
    from memtk.data.checks.examination import examine
    from memtk.data.config import DataConfig

    leave = LEAVE.format(elsewhere=str(here.parent / "elsewhere"))
    registry = registry_with("reader", f"""
class X:
    suffixes = (".odd",)
    def records(self, path):
        {leave}
        return [Record(path)]
    def read(self, record):
        x = np.frombuffer(record.path.read_bytes(), "u1").reshape(1, 16, 16)
        {leave}
        return Volume(x, (1.0, 1.0))
""")  # fmt: skip
    Path("d").mkdir()
    for i in range(9):
        pixels = np.random.default_rng(i).integers(0, 255, 256, dtype=np.uint8)
        Path(f"d/{i}.odd").write_bytes(pixels.tobytes())
    with kept():
        report = examine(build(DataConfig, {"source": "d"}, where="data"), registry)
    assert report.groups["training"].images + report.groups["validation"].images == 9
    as_before(here)


def test_folder_and_umask_are_kept_for_a_block_and_no_longer(here):
    with kept():
        with kept():
            os.chdir("/")
            os.umask(0)
        as_before(here)
        os.umask(0)
        restore()
        as_before(here)
    os.chdir("/")
    restore()
    assert Path.cwd() == Path("/")
    os.chdir(here)


def test_a_folder_that_is_gone_is_left(here):
    with kept():
        os.chdir("/")
        here.rmdir()
        restore()
        assert Path.cwd() == Path("/")
