"""What a plugin's component gives that it may not is said in one line, which names the plugin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from memtk.bench import make_plan, read_recipe, run_bench
from memtk.components import find_component
from memtk.data import readers as reading
from memtk.data.images import MemoryImages
from memtk.data.readers import Readers
from memtk.errors import PluginError, UserError
from memtk.evaluation import apply_protocols
from memtk.evaluation.quality import measure_quality
from memtk.interfaces import ImageSpec, Levels, Similarities
from memtk.memorization import search
from memtk.plugins import GROUP, find_points

HOOKS = {
    "generator": "memtk_generators",
    "reader": "memtk_readers",
    "protocol": "memtk_protocols",
    "quality": "memtk_quality_metrics",
    "mitigation": "memtk_mitigations",
    "attack": "memtk_attacks",
}
HEAD = """
import numpy as np
import torch
from memtk import Component, hookimpl
from memtk.interfaces import *
from memtk.interfaces import Phase, PhaseSettings
"""


@pytest.fixture
def registry_with(registry_of):
    """A registry of all plugins and one with a class X of a kind, which is called "odd-x"."""

    def make(kind, source, more=""):
        hook = f"\n@hookimpl\ndef {HOOKS[kind]}():\n    "
        hook += f"return [Component('odd-x', __name__ + ':X', 'Odd.'{more})]\n"
        return registry_of(HEAD + source + hook, *find_points(GROUP))

    return make


def one_line(told, *words):
    assert "\n" not in str(told.value) and all(word in str(told.value) for word in words), told


READER = """
class X:
    suffixes = ('.odd',)
    def records(self, path):
        return {records}
    def read(self, record):
        return {volume}
"""
RECORDS = {
    "endless": ("iter(lambda: Record(path), None)", "lists more than"),
    "texts": ("['a', 'b']", "a str, not a Record"),
    "none": ("None", "NoneType"),
    "paths": ("[Record('a.odd')]", "path is a str"),
    "numbers": ("[Record(path, item=3)]", "item is a int"),
    "patients": ("[Record(path, patient=None)]", "patient is a NoneType"),
    "halfway": ("(Record(path) if n else 1 / 0 for n in (1, 0))", "plugin odd.*division by zero"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_what_a_reader_lists_that_is_no_record_is_refused(
    name, registry_with, tmp_path, monkeypatch
):
    given, says = RECORDS[name]
    source = READER.format(records=given, volume=None)
    monkeypatch.setattr(reading, "MOST_RECORDS", 1000)
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
    source = READER.format(records="[Record(path)]", volume=f"Volume({given})")
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
GOOD = f"ProtocolTable({{'a': {M}}}, {{'training': np.ones(4, bool)}})"
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
    assert measured(registry_with, "{'a': np.nan, 'b': np.float32(0.5)}")[0] == {"odd-x.b": 0.5}


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


MODEL = """
class X(Generator):
    {config}
    def phases(self):
        return {phases}
    def sample(self, noise):
        return {x}
"""
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
FINE = {"config": "pass", "phases": "()", "x": "None"}


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


def bench(registry, folder, sets=(), **options):
    small = ["data.phantom.training=8", "data.phantom.validation=8", "data.phantom.size=16"]
    asked = {"generator": ("copycat",), "similarity": "ncc", "preset": "smoke", **options}
    asked |= {"exposure": "none"}
    recipe = read_recipe(registry, asked, suite="phantom2d", sets=(*small, "bench.plants=0", *sets))
    return run_bench(make_plan(recipe, registry), registry, out=folder / "run", device="cpu")


SAMPLES = {
    "none": ("None", "NoneType, not a tensor"),
    "array": ("np.zeros((8, 1, 16, 16))", "ndarray, not a tensor"),
    "complex": ("torch.zeros(len(noise), 1, 16, 16, dtype=torch.complex64)", "complex64"),
    "bytes": ("torch.zeros(len(noise), 1, 16, 16, dtype=torch.uint8)", "uint8"),
    "flat": ("torch.zeros(len(noise), 256)", "expected"),
    "nan": ("torch.full((len(noise), 1, 16, 16), torch.nan)", "not finite"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_that_are_no_images_are_refused(name, registry_with, tmp_path):
    given, says = SAMPLES[name]
    registry = registry_with("generator", MODEL.format(**FINE | {"x": given}))
    with pytest.raises(UserError, match=says) as told:
        bench(registry, tmp_path, generator=("odd-x",))
    assert "odd-x" in str(told.value)


CHANGES = {
    "choose-none": ("choose(self, patients, rng)", "None"),
    "choose-mask": ("choose(self, patients, rng)", "np.ones(len(patients), bool)"),
    "choose-list": ("choose(self, patients, rng)", "[0, 1]"),
    "choose-beyond": ("choose(self, patients, rng)", "np.array([0, 99])"),
    "choose-twice": ("choose(self, patients, rng)", "np.array([1, 1])"),
    "choose-negative": ("choose(self, patients, rng)", "np.array([-1])"),
    "choose-halves": ("choose(self, patients, rng)", "np.array([0.5])"),
    "thin-array-of-two": ("thin(self, training, validation, detector)", "np.zeros((2, 2), int)"),
    "thin-images": ("thin(self, training, validation, detector)", "training"),
    "thin-why": ("thin(self, training, validation, detector)", "Choice(np.array([1]), None)"),
    "release-none": ("release(self, synthetic)", "None"),
    "release-beyond": ("release(self, synthetic)", "np.array([99])"),
    "stop-number": ("stop(self, checkpoints)", "0"),
    "stop-beyond": ("stop(self, checkpoints)", "Choice(np.array([7]))"),
    "adjust-none": ("adjust(self, settings)", "None"),
    "adjust-key": ("adjust(self, settings)", "{'nothing': 1}"),
    "private-number": ("private(self)", "3"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_mitigation_gives_that_does_not_fit_is_named(name, registry_with, tmp_path):
    head, given = CHANGES[name]
    source = f"class X(Mitigation):\n    def {head}:\n        return {given}\n"
    with pytest.raises(PluginError) as told:
        bench(registry_with("mitigation", source), tmp_path, mitigation=("odd-x",))
    one_line(told, "mitigation 'odd-x' of plugin 'odd'", name.partition("-")[0])


TINY = ("channels=8,8", "autoencoder.steps=2", "adversarial.steps=0", "diffusion.steps=2")


@pytest.mark.parametrize("given", ["None", "x.double()", "x[:1, :, :8]", "x.numpy()"])
def test_augmented_images_of_another_kind_are_named(given, registry_with, tmp_path):
    source = f"class X(Mitigation):\n    def augment(self, x, noise):\n        return {given}\n"
    registry, sets = registry_with("mitigation", source), [f"monai2d.{each}" for each in TINY]
    with pytest.raises(PluginError) as told:
        bench(registry, tmp_path, sets, generator=("monai2d",), mitigation=("odd-x",))
    one_line(told, "mitigation 'odd-x' of plugin 'odd': augment gives")


SCORES = {
    "none": "None",
    "short": "np.zeros(3)",
    "texts": "np.array(['1'] * len(images))",
    "complex": "np.zeros(len(images), complex)",
    "nan": "np.full(len(images), np.nan)",
    "ragged": "[[1], [1, 2]]",
}


@pytest.mark.parametrize("name", [*SCORES, "describe"])
def test_scores_of_an_attack_that_are_none_are_named(name, registry_with, tmp_path):
    source = (
        "class X:\n    uses = ()\n    def score(self, target, images):\n        return "
        f"{SCORES.get(name, 'np.zeros(len(images))')}\n"
        "    def describe(self, target):\n"
        f"        return {3 if name == 'describe' else repr('all')}\n"
    )
    with pytest.raises(PluginError) as told:
        bench(registry_with("attack", source), tmp_path, attack=("odd-x",))
    one_line(told, "attack 'odd-x'")
