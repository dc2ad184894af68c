from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from memtk.results import Result, headline, json_schema, read_result

SCHEMA = Path(__file__).parents[2] / "docs/reference/result.schema.json"


def test_the_schema_in_the_docs_is_current():
    assert SCHEMA.read_text() == json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"


def test_a_result_survives_json(make_result):
    result = make_result(training={"generator": {"diffusion": [(1, {"mse": 0.5})]}})
    assert Result.model_validate_json(result.model_dump_json()) == result


def test_a_number_that_is_not_finite_survives_json_that_any_reader_can_parse(make_result):
    result = make_result(training={"generator": {"x": [(1, {"mse": float("inf")})]}})
    text = result.model_dump_json()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert Result.model_validate_json(text).training == result.training


def test_an_unknown_key_is_refused_at_any_depth(make_result):
    tree = make_result().model_dump()
    tree["checkpoints"][0]["protocols"]["dar"]["n_memorised"] = 3
    with pytest.raises(ValidationError, match="n_memorised"):
        Result.model_validate(tree)


def test_a_fraction_above_one_is_refused(make_result):
    with pytest.raises(ValidationError, match="a share lies between 0 and 1"):
        make_result(dar=65)


@pytest.mark.parametrize("seconds", [-1, "NaN", "Infinity", 1e308])
def test_a_duration_that_cannot_be_is_refused(make_result, seconds):
    tree = make_result().model_dump(mode="json") | {"timing": {"train": seconds}}
    with pytest.raises(ValidationError, match="timing.train"):
        Result.model_validate(tree)


def test_steps_below_none_are_refused(make_result):
    tree = make_result().model_dump(mode="json") | {"training": {"generator": {"x": [[-5, {}]]}}}
    with pytest.raises(ValidationError, match="training.generator.x.0.0"):
        Result.model_validate(tree)


def test_a_result_cannot_be_changed(make_result):
    with pytest.raises(ValidationError, match="frozen"):
        make_result().seed = 2


def test_a_result_of_memtk_0_1_0_is_read_as_what_it_said():
    result = read_result(Path(__file__).parent / "result-memtk-0.1.0.json")
    found = result.last.evidence
    assert (found.n_mem, found.patients_with_flagged_images, found.n_copies) == (27, 25, 30)
    assert found.copy_rate is None and found.patients_exposed is None
    assert result.selftest is None
    assert "An older memtk evaluated this, by ranks: 27 training images flagged." in headline(
        result
    )


def test_the_last_checkpoint_is_the_one_judged(make_result):
    result = make_result()
    assert result.last is result.checkpoints[-1]


def test_results_can_be_read_without_torch_and_numpy():
    code = "import sys, memtk.results; print({'torch', 'numpy', 'h5py'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
