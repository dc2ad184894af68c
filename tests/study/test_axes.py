from __future__ import annotations

import math
import time

import pytest

from memtk.errors import UserError
from memtk.study import parse_axes, parse_axis


def test_a_key_of_the_bench_is_varied_with_or_without_its_table(registry):
    for text in ("seed=0,1, 2", "bench.seed=0,1,2"):
        axis = parse_axis(text, registry)
        assert axis.key == "seed"
        assert [c.bench for c in axis.choices] == [{"seed": 0}, {"seed": 1}, {"seed": 2}]


def test_generators_are_varied_one_a_cell(registry):
    axis = parse_axis("generator=copycat,independent", registry)
    assert [c.bench["generator"] for c in axis.choices] == [("copycat",), ("independent",)]
    assert axis.choices[0].components == {"copycat"}


def test_whole_lists_of_mitigations_are_joined_by_a_plus(registry):
    axis = parse_axis("mitigation=none,augment,datasize+augment", registry)
    found = [c.bench["mitigation"] for c in axis.choices]
    assert found == [(), ("augment",), ("datasize", "augment")]


def test_off_leaves_a_mitigation_out_and_on_applies_it(registry):
    off, on = parse_axis("mitigation.augment=off,on", registry).choices
    assert (off.apply, off.leave) == ((), ("augment",))
    assert (on.apply, on.leave, on.sets) == (("augment",), (), ())


def test_any_other_value_applies_a_mitigation_and_is_its_first_setting(registry):
    half, whole = parse_axis("mitigation.datasize=0.5,1", registry).choices
    assert half.apply == whole.apply == ("datasize",)
    assert (half.sets, whole.sets) == (("datasize.fraction=0.5",), ("datasize.fraction=1",))


def test_another_setting_of_a_mitigation_is_named(registry):
    axis = parse_axis("mitigation.datasize.patients=3,5", registry)
    assert axis.choices[0].sets == ("datasize.patients=3",)
    assert axis.stored().label == "datasize.patients"


def test_values_with_commas_are_an_array_of_arrays(registry):
    axis = parse_axis("data.shape=[[32,48,32],[16,24,16]]", registry)
    assert [c.sets for c in axis.choices] == [("data.shape=32,48,32",), ("data.shape=16,24,16",)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed", "write it as KEY=V1,V2"),
        ("seed=", "write it as KEY=V1,V2"),
        ("seed=1,,2", "a value is missing"),
        ("seed=1,2,1", "1 is there twice"),
        ("sed=1,2", "expected a key below it"),
        ("mitigation.augment=0.5", "mitigation 'augment' has no settings"),
        ("mitigation.agument=on", "Did you mean 'augment'"),
        ("data.shape=[[1,2", "is no TOML array"),
    ],
)
def test_what_cannot_be_varied_is_refused_with_the_way_out(text, said, registry):
    with pytest.raises(UserError, match=said.replace("[", r"\[")):
        parse_axis(text, registry)


def test_a_key_that_is_varied_twice_is_refused(registry):
    with pytest.raises(UserError, match="seed is varied twice"):
        parse_axes(["seed=0,1", "bench.seed=2"], registry)


@pytest.mark.parametrize("sizes", [(10_001,), (101, 100), (30, 30, 30), (200_000,)])
def test_a_study_of_cells_that_nobody_can_run_is_refused_at_once(sizes, registry):
    keys = ("seed", "samples", "checkpoints")
    texts = [f"{k}={','.join(map(str, range(n)))}" for k, n in zip(keys, sizes, strict=False)]
    begin = time.process_time()
    with pytest.raises(UserError, match=f"{math.prod(sizes):,} cells; up to 10,000"):
        parse_axes(texts, registry)
    assert time.process_time() - begin < 10
