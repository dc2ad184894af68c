from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field

from memtk.config import build, load_json, load_toml, merge, parse_set
from memtk.errors import UserError
from memtk.interfaces import ComponentConfig, PhaseSettings


class Toy(ComponentConfig):
    rate: float = Field(0.5, gt=0, le=1)
    way: Literal["up", "down"] = "up"
    channels: tuple[int, ...] = (1, 2)
    limit: int | None = 3
    training: PhaseSettings = PhaseSettings(steps=5)
    extra: PhaseSettings | None = None
    many: dict[str, PhaseSettings] = {}


def message(*layers, where="generator"):
    with pytest.raises(UserError) as raised:
        build(Toy, *layers, where=where)
    return str(raised.value)


def test_the_last_layer_wins_key_by_key():
    config = build(Toy, {"rate": 0.1, "training": {"steps": 9}}, {"training": {"batch_size": 2}})
    assert (config.rate, config.training.steps, config.training.batch_size) == (0.1, 9, 2)


def test_merging_leaves_the_layers_as_they_were():
    below, above = {"a": {"b": {"c": 1}}}, {"a": {"b": {"d": 2}}}
    merged = merge(below, above)
    merged["a"]["b"]["c"] = 5
    assert (below, above) == ({"a": {"b": {"c": 1}}}, {"a": {"b": {"d": 2}}})


def test_a_value_replaces_a_table_and_a_table_a_value():
    assert merge({"a": {"b": 1}}, {"a": 2}) == {"a": 2}
    assert merge({"a": 2}, {"a": {"b": 1}}) == {"a": {"b": 1}}
    assert merge() == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-4", 1e-4),
        ("true", True),
        ("none", None),
        ("None", None),
        ("null", None),
        ("'3'", "3"),
        ('"a,b"', "a,b"),
        ("cosine", "cosine"),
        ("1,2,3", [1, 2, 3]),
        ("[1, 2]", [1, 2]),
        ("a,b", "a,b"),
        ("/data/x=y.csv", "/data/x=y.csv"),
        ("", ""),
        ("{steps = 3}", {"steps": 3}),
        ("3 # three", 3),
    ],
)
def test_a_value_is_toml_or_else_a_string(text, value):
    assert parse_set(f"a.b={text}") == {"a": {"b": value}}


def test_spaces_around_key_and_value_do_not_count():
    assert parse_set(" a.b = 3 ") == {"a": {"b": 3}}


@pytest.mark.parametrize("text", ["a", "=3", "a.=3", ".a=3", "a..b=3", "", "a. .b"])
def test_a_set_without_key_or_equals_sign_shows_how_to_write_it(text):
    with pytest.raises(UserError, match="write it as KEY=VALUE"):
        parse_set(text)


def test_a_value_cannot_add_a_second_key():
    assert parse_set("a=1\nb = 2") == {"a": "1\nb = 2"}


def test_an_unknown_key_gets_the_nearest_one_and_all_there_are():
    assert message({"rat": 1}) == (
        "unknown key 'generator.rat': generator has channels, extra, limit, many, rate, "
        "training, way. "
        "Did you mean 'rate'?"
    )


def test_an_unknown_key_of_a_phase_is_named_with_its_path():
    text = message({"training": {"step": 3}})
    assert text.startswith("unknown key 'generator.training.step': generator.training has ")
    assert text.endswith("Did you mean 'steps'?")


def test_an_unknown_key_of_an_optional_table_is_named_likewise():
    text = message({"extra": {"step": 3}})
    assert text.startswith("unknown key 'generator.extra.step': generator.extra has accumulate, ")


def test_where_the_known_keys_are_not_plain_none_are_listed():
    assert message({"many": {"a": {"step": 3}}}) == "unknown key 'generator.many.a.step'"


def test_a_configuration_without_keys_says_so():
    with pytest.raises(UserError, match="unknown key 'augment.rate': augment has no keys"):
        build(ComponentConfig, {"rate": 1}, where="augment")


def test_a_key_far_from_all_gets_no_suggestion():
    assert "Did you mean" not in message({"zzzz": 1})


def test_without_a_prefix_the_key_stands_alone():
    assert message({"rat": 1}, where="").startswith("unknown key 'rat': it has channels")


def test_every_mistake_is_named_at_once():
    assert len(message({"rat": 1, "rate": 7, "way": "left"}).splitlines()) == 3


@pytest.mark.parametrize(
    ("layer", "parts"),
    [
        ({"rate": "high"}, ["generator.rate = 'high'", "valid number"]),
        ({"rate": 2}, ["generator.rate = 2", "less than or equal to 1"]),
        ({"way": "left"}, ["generator.way = 'left'", "'up' or 'down'"]),
        ({"training": {"steps": -1}}, ["generator.training.steps = -1", "greater than"]),
        ({"training": {"steps": 1.5}}, ["generator.training.steps = 1.5", "integer"]),
        ({"training": 3}, ["generator.training = 3"]),
        ({"channels": [1, "x"]}, ["generator.channels.1 = 'x'", "integer"]),
    ],
)
def test_a_value_that_does_not_fit_names_key_value_and_reason(layer, parts):
    text = message(layer)
    assert all(part in text for part in parts) and len(text.splitlines()) == 1


def test_a_list_of_a_toml_file_fits_a_tuple_and_none_an_optional_value():
    config = build(Toy, parse_set("channels=4,8"), parse_set("limit=none"))
    assert config.channels == (4, 8) and config.limit is None


def test_a_toml_file_is_read(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('[generator]\nrate = 0.5\n[data]\nsource = "é"\n', encoding="utf-8")
    assert load_toml(path) == {"generator": {"rate": 0.5}, "data": {"source": "é"}}


def test_a_missing_toml_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*gone\.toml: No such file"):
        load_toml(tmp_path / "gone.toml")


def test_a_folder_is_no_toml_file(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        load_toml(tmp_path)


@pytest.mark.parametrize("content", [b"a = \n", b"[a\n", b"a = 1\na = 2\n", b"\xff\xfe"])
def test_a_malformed_toml_file_is_named_with_the_reason(tmp_path, content):
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.toml is not valid TOML: "):
        load_toml(path)


class Sizes(ComponentConfig):
    shape: tuple[int, ...] = ()


def test_one_value_in_place_of_several_is_refused_with_an_example():
    with pytest.raises(
        UserError, match=r"data\.shape = 32: write its values .*one alone as \S+=1,$"
    ):
        build(Sizes, {"shape": 32}, where="data")
    assert build(Sizes, parse_set("shape=32,")).shape == (32,)


def test_a_word_stands_for_a_tuple_of_one():
    class Inner(ComponentConfig):
        names: tuple[str, ...] = ()
        sizes: tuple[int, ...] = ()

    class Outer(ComponentConfig):
        inner: Inner = Inner()

    assert build(Outer, parse_set("inner.names=width")).inner.names == ("width",)
    with pytest.raises(UserError, match="inner.sizes = 'wide': write its values with commas"):
        build(Outer, parse_set("inner.sizes=wide"))
    with pytest.raises(UserError, match="nothing"):
        build(Outer, parse_set("inner.names=width"), {"nothing": 1})


def test_a_json_file_that_holds_no_table_is_refused_by_name(tmp_path):
    path = tmp_path / "model.json"
    with pytest.raises(UserError, match=r"model\.json is missing: a model is needed"):
        load_json(path, "a model is needed")
    for text, message in (("{", "cannot be read as JSON"), ("[1]", "holds no table")):
        path.write_text(text)
        with pytest.raises(UserError, match=rf"model\.json {message}"):
            load_json(path, "a model is needed")
    path.write_text('{"a": 1}')
    assert load_json(path, "a model is needed") == {"a": 1}


def test_a_setting_that_is_missing_is_described_with_the_way_to_give_it():
    class Needy(ComponentConfig):
        path: str = Field(..., description="folder of the model")

    with pytest.raises(UserError) as raised:
        build(Needy, where="model")
    assert str(raised.value) == "model.path is missing: --set model.path=... (folder of the model)"
