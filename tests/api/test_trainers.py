"""The blocks of the page "Bring the model you have": three trainers watched, a model wrapped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from memtk.interfaces import Condition, ImageSpec
from memtk.noise import Noise
from memtk.testing import Case, check_generator, run_checks

PAGE = Path(__file__).parents[2] / "docs/how-to/bring-the-model-you-have.md"


def run_blocks(after, before, names):
    part = PAGE.read_text(encoding="utf-8").partition(f"\n## {after}")[2]
    part = part.partition(f"\n## {before}")[0] if before else part
    for block in re.findall(r"```python\n(.*?)```", part, re.S):
        exec(
            compile(block.split("\ncheck_generator")[0], str(PAGE), "exec", dont_inherit=True),
            names,
        )
    return names


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """What a loop of one's own, Lightning and MONAI have left, after the same training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        return run_blocks("A running training", "", {"__name__": "page"})


@pytest.fixture(scope="module")
def wrapped():
    names = run_blocks("A diffusion model", "A conditional model", {"__name__": "page"})
    return run_blocks("A conditional model", "A folder of samples", names)


def test_a_plain_loop_lightning_and_monai_give_the_same_numbers_and_stop_at_the_same_epoch(
    watched,
):
    epochs, last = len(watched["history"]), watched["history"][-1]
    lightning, monai = watched["trainer"].callback_metrics, watched["engine"].state.metrics
    assert watched["trainer"].current_epoch == watched["engine"].state.epoch == epochs < 10
    assert float(lightning["memorization/copy_rate"]) == pytest.approx(last, rel=1e-6)
    assert monai["memorization/copy_rate"] == pytest.approx(last, rel=1e-6)
    assert {k: float(v) for k, v in lightning.items()} == pytest.approx(
        {k: v for k, v in monai.items() if k.startswith("memorization/")}, rel=1e-6
    )


def test_what_they_log_is_what_the_metric_says_of_the_last_samples(watched):
    metric = watched["memorization"].clone()
    for painter, said in (
        (watched["module"].painter, watched["trainer"].callback_metrics),
        (watched["network"], watched["engine"].state.metrics),
    ):
        metric.reset()
        metric.update(painter.sample(48))
        found = {f"memorization/{k}": float(v) for k, v in metric.compute().items()}
        assert found == pytest.approx({k: float(said[k]) for k in found}, rel=1e-6)
        assert found["memorization/copy_rate"] > 0.5  # it has learned its images by heart


@pytest.mark.parametrize("spec", [ImageSpec((8, 12, 8)), ImageSpec((16, 16), channels=3)])
def test_the_wrapper_keeps_every_rule_on_volumes_and_on_colour_pictures_too(wrapped, spec):
    case = Case(wrapped["Denoiser"], {"patch": 2}, spec=spec)
    assert {o.check: o.why for o in run_checks(case) if o.status == "failed"} == {}


def test_the_conditional_wrapper_keeps_every_rule_without_conditions_too(wrapped):
    check_generator(wrapped["ConditionalDenoiser"], spec=ImageSpec((16, 16)))
    assert wrapped["views"] == (Condition("view", ("AP", "PA")),)


def test_what_draws_from_the_global_generator_gives_each_stream_its_own_image(wrapped):
    def draw(count):
        return torch.randn(count, 1, 4, 4)

    state = torch.get_rng_state()
    together = wrapped["one_by_one"](draw, Noise(0, [0, 1, 2]))
    alone = wrapped["one_by_one"](draw, Noise(0, [2]))
    assert torch.equal(together[2:], alone) and not torch.equal(together[0], together[1])
    assert torch.equal(torch.get_rng_state(), state)
