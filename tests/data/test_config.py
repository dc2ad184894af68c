import pytest

from memtk.config import build
from memtk.data.config import DataConfig
from memtk.errors import UserError


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"shape": [32]}, "two or three positive numbers"),
        ({"shape": [32, 0, 32]}, "two or three positive numbers"),
        ({"spacing": [1, -1, 1]}, "two or three positive sizes"),
        ({"shape": [100_000, 100_000]}, "more than 536,870,912 voxels"),
        ({"shape": [1, 500]}, "two or three positive numbers"),
        ({"spacing": [float("nan")] * 3}, "finite number"),
        ({"spacing": [1e-9] * 3}, "two or three positive sizes"),
        ({"spacing": [float("inf"), 1, 1]}, "finite number"),
        ({"phantom": {"training": 10**9}}, "data.phantom.training"),
        ({"percentiles": [float("nan"), 99]}, "finite number"),
        ({"percentiles": [99, 1]}, "two ascending numbers"),
        ({"patient_pattern": "(a"}, "not a regular expression"),
        ({"patient_pattern": r"(\d+)_(\d+)"}, "it has 2 groups"),
        ({"validation": 0.6, "held_out": 0.4}, "leave no patients for training"),
        ({"orientation": "lps"}, "data.orientation"),
        ({"spacings": [1, 1, 1]}, "Did you mean 'spacing'"),
        ({"phantom": {"siz": 3}}, "Did you mean 'size'"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(keys, message):
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        build(DataConfig, {"source": "x", **keys}, where="data")


def test_a_source_is_needed():
    with pytest.raises(UserError, match="data.source"):
        build(DataConfig, {}, where="data")


def test_usual_settings_are_taken():
    config = build(
        DataConfig, {"source": "x", "shape": [32, 48, 32], "spacing": [1, 1, 2.5]}, where="data"
    )
    assert config.shape == (32, 48, 32) and config.spacing == (1, 1, 2.5)
    assert config.percentiles == (0.5, 99.5) and config.phantom.training == 64
    assert not config.is_phantom and DataConfig(source="phantom2d").is_phantom
