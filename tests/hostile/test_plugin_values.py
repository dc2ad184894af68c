"""What a plugin's component gives that it may not is said in one line, which names the plugin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hostile.odd_plugin import FINE, MODEL, one_line

from memtk.components import find_component
from memtk.data import reader_checks
from memtk.data.images import MemoryImages
from memtk.data.readers import Readers
from memtk.errors import PluginError, UserError
from memtk.evaluation import apply_protocols
from memtk.evaluation.quality import measure_quality
from memtk.interfaces import ImageSpec, Levels, Similarities
from memtk.memorization import search

READER = """
class X:
    suffixes = ('.odd',)
    def records(self, path):
        return {records}
    def read(self, record):
        return {volume}
"""
RECORDS = {
    "endless": ("(Record(path, item=str(n)) for n in range(9**9))", "lists more than"),
    "texts": ("['a', 'b']", "a str, not a Record"),
    "none": ("None", "NoneType"),
    "paths": ("[Record('a.odd')]", "path is a str"),
    "numbers": ("[Record(path, item=3)]", "item is a int"),
    "patients": ("[Record(path, patient=None)]", "patient is a NoneType"),
    "another's file": ("[Record(type(path)('/etc/passwd'))]", "lists passwd, which is not in it"),
    "a file beside": ("[Record(path.with_name('b.npy'))]", "lists b.npy, which is not in it"),
    "one image twice": ("[Record(path), Record(path)]", "lists a.odd twice"),
    "one item twice": ("[Record(path, 'x'), Record(path, 'y')] * 2", "lists a.odd x twice"),
    "the folder": ("[Record(path.parent)]", ", which is not in it"),
    "halfway": ("(Record(path) if n else 1 / 0 for n in (1, 0))", "plugin odd.*division by zero"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_what_a_reader_lists_that_is_no_record_is_refused(
    name, registry_with, tmp_path, monkeypatch
):
    given, says = RECORDS[name]
    source = READER.format(records=given, volume=None)
    monkeypatch.setattr(reader_checks, "MOST_RECORDS", 1000)
    (tmp_path / "a.odd").write_text("x")
    with pytest.raises(UserError, match=says) as told:
        Readers(registry_with("reader", source)).records(tmp_path / "a.odd")
    one_line(told, "a.odd", "odd")


VOLUMES = {
    "masked": ("np.ma.masked_all((1, 8, 8)), (1.0, 1.0)", "masked array"),
    "large": ("np.broadcast_to(np.float32(1), (1, 100_000, 100_000)), (1.0, 1.0)", "memtk takes"),
    "no-sizes": ("np.zeros((1, 8, 8)), ()", "0 sizes of a voxel for 2 axes"),
    "three-sizes": ("np.zeros((1, 8, 8)), (1.0, 1.0, 1.0)", "3 sizes of a voxel for 2 axes"),
    "negative": ("np.zeros((1, 8, 8)), (-1.0, 1.0)", "no size of a voxel"),
    "a-text": ("np.zeros((1, 8, 8)), 'ab'", "damaged"),
    "small-affine": ("np.zeros((1, 8, 8)), (1.0, 1.0), np.eye(2)", "no finite matrix"),
    "affine-of-nan": ("np.zeros((1, 8, 8)), (1.0, 1.0), np.full((4, 4), np.nan)", "no finite"),
    "affine-text": ("np.zeros((1, 8, 8)), (1.0, 1.0), 'x'", "no finite matrix"),
    "objects": ("np.full((1, 8, 8), None), (1.0, 1.0)", "voxels of object"),
    "complex": ("np.zeros((1, 8, 8), complex), (1.0, 1.0)", "voxels of complex"),
    "five-axes": ("np.zeros((1, 1, 8, 8, 8)), (1.0, 1.0)", "shape"),
}
"""What a reader gives that is no image, and what is said of it."""


@pytest.mark.parametrize("name", VOLUMES)
def test_what_a_reader_gives_that_is_no_image_is_refused(name, registry_with, tmp_path):
    given, says = VOLUMES[name]
    source = READER.format(records="[Record(path, np.str_('a'))]", volume=f"Volume({given})")
    readers = Readers(registry_with("reader", source))
    (tmp_path / "a.odd").write_text("x")
    [record] = readers.records(tmp_path / "a.odd")
    with pytest.raises(UserError, match=says) as told:
        readers.read(record)
    one_line(told, "a.odd")


M = "Measure(0.5, 'a', 'training')"
TABLES = {
    "none": "None",
    "text": "ProtocolTable('a')",
    "key-number": f"ProtocolTable({{1: {M}}}, {{'training': np.ones(4, bool)}})",
    "key-empty": f"ProtocolTable({{'': {M}}}, {{'training': np.ones(4, bool)}})",
    "value-text": "ProtocolTable({'a': Measure('0.5', 'a', 'training')})",
    "value-bool": "ProtocolTable({'a': Measure(True, 'a', 'training')})",
    "value-list": "ProtocolTable({'a': Measure([1, 2], 'a', 'training')})",
    "count-text": "ProtocolTable({'a': Measure(0.5, 'a', 'training', count='3')})",
    "of-half": "ProtocolTable({'a': Measure(0.5, 'a', 'training', of=2.5)})",
    "interval-three": "ProtocolTable({'a': Measure(0.5, 'a', '', interval=(0, 1, 2))})",
    "title-none": "ProtocolTable({'a': Measure(0.5, None, 'training')})",
    "side": "ProtocolTable({'a': Measure(0.5, 'a', 'both')})",
    "flags-short": f"ProtocolTable({{'a': {M}}}, {{'training': np.ones(3, bool)}})",
    "flags-text": f"ProtocolTable({{'a': {M}}}, {{'training': ['', 'a', '', '']}})",
    "flags-number": f"ProtocolTable({{'a': {M}}}, {{'synthetic': np.arange(4)}})",
    "flags-of-none": f"ProtocolTable({{'a': {M}}}, {{'held_out': np.ones(4, bool)}})",
}
GOOD = f"ProtocolTable({{np.str_('a'): {M}}}, {{'training': np.ones(4, bool)}})"
ENDLESS = "Measure(0.5, 'a', '', null=np.nan, count=np.inf, interval=(0, np.inf))"


def applied(registry_with, given):
    source = f"class X:\n    def __call__(self, similarities, levels):\n        {given}\n"
    registry = registry_with("protocol", source)
    pairs = ("train_synthetic", "synthetic_train", "train_validation", "validation_train")
    arrays = {key: np.linspace(0, 1, 4) for key in pairs}
    found = Similarities.of_arrays(arrays)
    tables, flags = apply_protocols(registry.entries("protocol"), found, Levels())
    assert len(tables) > 1 and "failed" not in tables["dar"]  # the others are used
    assert all((array == np.linspace(0, 1, 4)).all() for array in arrays.values())
    return tables["odd-x"], {key for key in flags if "odd-x" in key}


@pytest.mark.parametrize("name", TABLES)
def test_a_protocol_with_a_table_that_is_none_has_failed(name, registry_with):
    table, flags = applied(registry_with, f"return {TABLES[name]}")
    assert set(table) == {"failed"} and table["failed"].value is None and not flags
    assert "odd-x" in table["failed"].note


def test_a_protocol_that_writes_into_what_it_reads_fails_and_changes_nothing(registry_with):
    table, flags = applied(registry_with, "similarities.train_synthetic[:] = 0")
    assert table["failed"].value is None and not flags


def test_a_protocol_with_a_good_table_has_it_without_what_is_not_finite(registry_with):
    table, flags = applied(registry_with, f"return {GOOD}")
    assert table["a"].value == 0.5 and flags == {"flagged_odd-x_training"}


def test_numbers_of_a_protocol_that_are_not_finite_are_none(registry_with):
    table, _ = applied(registry_with, f"return ProtocolTable({{'a': {ENDLESS}}})")
    found = table["a"]
    assert (found.value, found.null, found.count, found.interval) == (0.5, None, None, None)


QUALITY = {
    "none": "None",
    "list": "[0.5]",
    "text": "{'a': '0.5'}",
    "word": "{'a': 'good'}",
    "nothing": "{'a': None}",
    "bool": "{'a': True}",
    "key": "{3: 0.5}",
    "better": "{'a': QualityMeasure(0.5, better='lovely')}",
    "real": "{'a': QualityMeasure(0.5, real='0.5')}",
    "note": "{'a': QualityMeasure(0.5, note=None)}",
}


def measured(registry_with, given):
    source = f"class X:\n    def __call__(self, real, fake):\n        return {given}\n"
    part = find_component(registry_with("quality", source), "quality", "odd-x", {}, "smoke")
    images = MemoryImages(torch.zeros(4, 1, 8, 8))
    return measure_quality([part], None, images, images, "")


@pytest.mark.parametrize("name", QUALITY)
def test_a_quality_metric_that_gives_no_numbers_is_named(name, registry_with):
    with pytest.raises(PluginError) as told:
        measured(registry_with, QUALITY[name])
    one_line(told, "quality 'odd-x' of plugin 'odd'")


def test_a_quality_that_is_undefined_has_no_number(registry_with):
    assert measured(registry_with, "{'a': np.nan, np.str_('b'): np.float32(0.5)}")[0] == {
        "odd-x.b": 0.5
    }


class Cosine:
    space = "embedding"

    def __init__(self, prepared=None, compared=None):
        self.prepared, self.compared = prepared, compared

    def prepare(self, rows):
        return self.prepared(rows) if self.prepared else rows

    def compare(self, queries, references):
        found = queries @ references.T
        return self.compared(found) if self.compared else found


LIKENESS = {
    "prepares-none": {"prepared": lambda rows: None},
    "prepares-an-array": {"prepared": lambda rows: rows.numpy()},
    "prepares-fewer": {"prepared": lambda rows: rows[:-1]},
    "prepares-flat": {"prepared": lambda rows: rows.flatten()},
    "none": {"compared": lambda found: None},
    "array": {"compared": lambda found: found.numpy()},
    "complex": {"compared": lambda found: found.to(torch.complex64)},
    "whole": {"compared": lambda found: found.long()},
    "flat": {"compared": lambda found: found.flatten()},
    "nan": {"compared": lambda found: found * torch.nan},
}


@pytest.mark.parametrize("name", LIKENESS)
def test_a_similarity_that_gives_no_table_of_numbers_is_named(name):
    rows = np.random.default_rng(0).normal(size=(5, 3))
    with pytest.raises(PluginError, match="similarity Cosine") as told:
        search(rows, rows + 1, Cosine(**LIKENESS[name]))
    one_line(told)


CONFIGS = {
    "text": "class Config(ComponentConfig):\n        steps: int = 'x'",
    "none": "class Config(ComponentConfig):\n        steps: int = None",
    "nan": "class Config(ComponentConfig):\n        rate: float = float('nan')",
    "phase": "class Config(ComponentConfig):\n        training: PhaseSettings = 3",
}
PHASES = {
    "none": "None",
    "generator": "(each for each in ())",
    "texts": "('a',)",
    "classes": "(Phase,)",
    "dictionary": "{}",
}


@pytest.mark.parametrize("name", CONFIGS)
def test_settings_whose_own_defaults_do_not_fit_are_the_plugins_fault(name, registry_with):
    registry = registry_with("generator", MODEL.format(**FINE | {"config": CONFIGS[name]}))
    with pytest.raises(PluginError) as told:
        find_component(registry, "generator", "odd-x", {}, "smoke")
    one_line(told, "generator 'odd-x' of plugin 'odd'", "its Config")


def test_a_preset_that_is_no_table_is_the_plugins_fault(registry_with):
    source = MODEL.format(**FINE | {"config": "presets = {'smoke': 3}"})
    with pytest.raises(PluginError, match="'odd-x': its preset 'smoke' is no table"):
        find_component(registry_with("generator", source), "generator", "odd-x", {}, "smoke")


@pytest.mark.parametrize("name", PHASES)
def test_phases_that_are_none_are_the_plugins_fault(name, registry_with):
    registry = registry_with("generator", MODEL.format(**FINE | {"phases": PHASES[name]}))
    part = find_component(registry, "generator", "odd-x", {}, "smoke")
    with pytest.raises(PluginError) as told:
        part.make(ImageSpec((8, 8)))
    one_line(told, "generator 'odd-x' of plugin 'odd': phases gives")


EMBEDDER = """
class X(Embedder):
    width = {width}
    resolution = {resolution}
    def phases(self):
        return ()
    def embed(self, x):
        return x.flatten(1)
"""
WIDTHS = ["None", "0", "-5", "2.5", "'8'", "True", "float('nan')"]
WIDTHS += ["10**12", "(8,)", "torch.ones(1)"]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_width_of_an_embedder_that_is_no_number_of_values_is_named(width, registry_with):
    source = EMBEDDER.format(width=width, resolution=None)
    part = find_component(registry_with("embedder", source), "embedder", "odd-x", {}, "")
    with pytest.raises(PluginError) as told:
        part.make(ImageSpec((8, 8)))
    one_line(told, "embedder 'odd-x' of plugin 'odd': width gives", "whole number from 1")


@pytest.mark.parametrize("resolution", ["3", "(0, 8)", "(8, 2.5)", "(8, '8')", "[None]"])
def test_a_resolution_of_an_embedder_that_is_no_shape_is_named(resolution, registry_with):
    source = EMBEDDER.format(width=64, resolution=resolution)
    part = find_component(registry_with("embedder", source), "embedder", "odd-x", {}, "")
    with pytest.raises(PluginError) as told:
        part.make(ImageSpec((8, 8)))
    one_line(told, "embedder 'odd-x' of plugin 'odd': resolution gives")


def test_a_width_and_a_resolution_may_be_numbers_of_numpy(registry_with):
    source = EMBEDDER.format(width="np.prod((8, 8))", resolution="tuple(np.array([8, 8]))")
    part = find_component(registry_with("embedder", source), "embedder", "odd-x", {}, "")
    assert part.make(ImageSpec((8, 8))).width == 64


@pytest.mark.parametrize("kind", ["generator", "mitigation", "attack"])
def test_a_class_of_another_kind_is_named(kind, registry_with):
    source = (
        "class X:\n    def phases(self):\n        pass\n    def sample(self, noise):\n        pass"
    )
    with pytest.raises(PluginError) as told:
        find_component(registry_with(kind, source), kind, "odd-x", {}, "smoke")
    one_line(told, f"{kind} 'odd-x' of plugin 'odd'", f"is no {kind}")


@pytest.mark.parametrize(
    "dims", ["{5}", "frozenset({5})", "'3'", "None", "()", "frozenset()", "frozenset({'3'})"]
)
def test_dims_that_no_image_has_are_named_and_the_others_are_used(dims, registry_with):
    registry = registry_with("generator", MODEL.format(**FINE), f", dims={dims}")
    [warning] = registry.warnings
    assert "plugin 'odd'" in warning and "dims" in warning and "\n" not in warning
    names = [entry.name for entry in registry.entries("generator")]
    assert "copycat" in names and "odd-x" not in names
