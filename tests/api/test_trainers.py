"""The blocks of the page "Bring the model you have": three trainers watched, a model wrapped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine

import memtk
from memtk.bench import make_plan, read_recipe, run_bench
from memtk.data.images import StoredImages, open_images
from memtk.interfaces import Condition, ImageSpec
from memtk.noise import Noise, derive
from memtk.registry import open_registry
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


SEED, COUNT = 5, 48
SETS = (
    "data.phantom.training=24",
    "data.phantom.validation=24",
    "data.phantom.size=32",
    "embedder.training.steps=20",
    "bench.exposure=none",
    "bench.plants=8",
    "vae2d.training.steps=300",
    "vae2d.kl_weight=0.001",
)


@pytest.fixture(scope="module")
def benched(tmp_path_factory):
    """What a bench says of a small VAE, the metric of its images, and the VAE as it left it."""
    folder, registry = tmp_path_factory.mktemp("runs") / "vae", open_registry()
    asked = {"generator": ("vae2d",), "embedder": "ntxent2d", "preset": "smoke", "seed": SEED}
    asked |= {"checkpoints": 1, "samples": COUNT}
    plan = make_plan(read_recipe(registry, asked, data="phantom2d", sets=SETS), registry)
    done = run_bench(plan, registry, out=folder, device="cpu")
    (data,) = folder.glob("data/*.h5")
    (weights,) = folder.glob("cells/*/training/checkpoints/*.pt")
    metric = memtk.Memorization.from_images(
        *(StoredImages(data, split) for split in ("training", "validation")),
        embedder="ntxent2d", preset="smoke", seed=SEED, plants=8, device="cpu",
        settings=("embedder.training.steps=20",),
    )  # fmt: skip
    metric.seed = derive(SEED, "intervals", "vae2d", weights.stem)
    vae = plan.generators["vae2d"].make(ImageSpec((32, 32)))
    vae.load_state_dict(torch.load(weights, weights_only=True)["model"])
    (made,) = (open_images(path) for path in folder.glob("cells/*/synthetic/*.h5"))
    return done.results[0].last, metric, vae.eval(), made.read(range(COUNT))


def test_of_the_weights_of_a_bench_each_trainer_logs_what_the_bench_says(
    watched, benched, monkeypatch
):
    checkpoint, metric, vae, made = benched

    class Trained(watched["Painter"]):
        """The weights of the bench, which this training leaves as they are."""

        @torch.no_grad()
        def sample(self, count):
            streams = derive(derive(SEED, "sample", "vae2d"), "sample")
            return vae.sample(Noise(streams, range(count)))

    assert torch.allclose(Trained().sample(COUNT), made, atol=1e-5)
    monkeypatch.setitem(watched, "memorization", metric)
    monkeypatch.setattr(metric, "clone", lambda: metric)
    watched["trained"](Trained(), epochs=1, patience=1)
    plain = {f"memorization/{name}": value for name, value in metric.compute().items()}
    monkeypatch.undo()
    callback = watched["WatchMemorization"](metric.clone())
    module = watched["Painting"]()
    module.painter = Trained()
    trainer = watched["lightning"].Trainer(
        max_epochs=1, callbacks=[callback], accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(range(COUNT), batch_size=16))
    engine = Engine(lambda engine, batch: None)
    watched["MemorizationHandler"](metric.clone(), Trained()).attach(engine)
    engine.run([0], max_epochs=1)
    evidence = checkpoint.evidence
    want = {
        "copy_rate": evidence.copy_rate.estimate,
        "copy_rate_low": evidence.copy_rate.low,
        "copy_rate_high": evidence.copy_rate.high,
        "dar/n_mem": checkpoint.protocols["dar"]["n_mem"].value,
        "dar/tau": evidence.tau,
        "dar-matched/n_mem": checkpoint.protocols["dar-matched"]["n_mem"].value,
    }
    assert want["dar/n_mem"] > 0
    for found in (plain, trainer.callback_metrics, engine.state.metrics):
        said = {name: float(found[f"memorization/{name}"]) for name in want}
        assert said == pytest.approx(want, rel=1e-4, abs=1e-6)


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
