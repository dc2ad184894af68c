"""The order of a cell: what every stage says of itself before, during and after a run."""

from __future__ import annotations

import pytest
from rich.console import Console

from memtk.bench import describe_plan, make_plan, pipeline, read_recipe, run_bench
from memtk.bench.experiment import Experiment, Preview
from memtk.bench.pipeline import STAGES, Train, finished_stages, preview_cells
from memtk.data.prepare import prepare
from memtk.errors import UserError
from memtk.interfaces import ComponentConfig, Mitigation, Stage

SETS = (
    "data.phantom.training=12",
    "data.phantom.validation=12",
    "data.phantom.held_out=0",
    "data.phantom.size=16",
    "bench.plants=0",
    "bench.exposure=none",
    "embedder.training.steps=2",
)

KNOWN = {
    "augment": {Stage.TRAIN},
    "datasize": {Stage.CHOOSE},
    "deduplicate": {Stage.THIN},
    "distill": {Stage.TEACH},
    "dp-sgd": {Stage.TRAIN},
    "early-stop": {Stage.STOP},
    "release-filter": {Stage.SCREEN},
    "smaller": {Stage.ADJUST},
}


@pytest.fixture
def plan(registry):
    def make(*sets, **options):
        asked = {"generator": ("copycat",), "embedder": "ntxent2d", "preset": "smoke", **options}
        return make_plan(
            read_recipe(registry, asked, suite="phantom2d", sets=(*SETS, *sets)), registry
        )

    return make


def test_every_stage_has_its_place_once():
    assert sorted(stage.name for stage in STAGES) == sorted(Stage)


@pytest.mark.parametrize("name", KNOWN)
def test_a_mitigation_takes_part_in_the_stages_whose_methods_it_has(registry, name):
    assert registry.load("mitigation", name).stages() == KNOWN[name]


def test_a_configuration_is_no_part_in_a_stage():
    class Own(Mitigation):
        class Config(ComponentConfig):
            """Nothing."""

        needs_quality = True

    assert Own.stages() == frozenset()


def test_cells_that_only_choose_among_the_samples_share_the_training(plan):
    made = plan(
        generator=("monai2d",),
        quality=("ms-ssim",),
        compare=("early-stop", "release-filter+early-stop", "augment+early-stop", "distill"),
    )
    owners = {cell: Experiment.of(made, cell).owner for cell in made.generators}
    assert owners == {
        "monai2d": "monai2d",
        "monai2d+early-stop": "monai2d",
        "monai2d+release-filter+early-stop": "monai2d",
        "monai2d+augment+early-stop": "monai2d+augment+early-stop",
        "monai2d+distill": "monai2d+distill",
    }
    teacher = Experiment.of(made, "monai2d+distill").of_teacher()
    assert (teacher.name, teacher.owner) == ("monai2d", "monai2d")


def test_a_teacher_that_is_no_cell_lies_with_its_pupil(plan):
    teacher = Experiment.of(plan(mitigation=("distill",)), "copycat+distill").of_teacher()
    assert teacher.owner is None and teacher.shared == teacher.home / "first"


def test_the_dry_run_knows_the_checkpoints_and_samples(plan, registry, tmp_path):
    made = plan("copycat.rate=0.5", generator=("copycat", "monai2d"), mitigation=("datasize",))
    previews = preview_cells(made, prepare(made.data, tmp_path, registry))
    found = previews["monai2d+datasize"]
    assert isinstance(found, Preview) and found.count == len(found.training) == 6
    assert found.labels == ("step-000010", "step-000020")
    assert previews["copycat+datasize"].labels == ("step-000000",)


def test_the_dry_run_refuses_a_crop_that_does_not_fit(plan, registry, tmp_path):
    made = plan("monai2d.autoencoder.crop=8,6", generator=("monai2d",))
    with pytest.raises(UserError, match=r"cannot take images of 8x6(.|\n)*takes is 8x8"):
        preview_cells(made, prepare(made.data, tmp_path, registry))


def test_the_files_of_a_stage_are_there_once_it_is_finished(plan, registry, tmp_path, monkeypatch):
    monkeypatch.setattr("memtk.bench.run.build_report", lambda folder, registry: folder)
    made = plan("copycat.rate=0.5", mitigation=("release-filter",), attack=("gan-leaks",))
    cell, folder = Experiment.of(made, "copycat+release-filter"), tmp_path / "run"
    finished, seen = [], []

    class Watched(Train):
        """One stage, and what is finished before and after it."""

        def __init__(self, stage):
            self.stage, self.name, self.shared, self.files = (
                stage, stage.name, stage.shared, stage.files
            )  # fmt: skip
            self.preview = stage.preview

        def __call__(self, *args):
            before = finished_stages(cell, folder, ["step-000000"])
            state = self.stage(*args)
            after = finished_stages(cell, folder, ["step-000000"])
            finished.extend(n for n in after if n not in before)
            if self.files(cell, ["step-000000"]):
                seen.append(self.name)
            return state

    monkeypatch.setattr(pipeline, "STAGES", tuple(Watched(stage) for stage in STAGES))
    run_bench(made, registry, out=folder, device="cpu")
    order = [Stage.TRAIN, Stage.SAMPLE, Stage.EVALUATE, Stage.REEVALUATE]
    assert finished == seen == [*order, Stage.ATTACK, Stage.RECORD]
    console = Console(width=160)
    with console.capture() as shown:
        console.print(describe_plan(made, registry, out=folder, device="cpu"))
    told = "finished already: train, sample, evaluate, reevaluate, attack, record"
    assert f"copycat+release-filter: {told}" in " ".join(shown.get().split())


def test_an_order_that_cannot_be_is_told(plan, registry, tmp_path, monkeypatch):
    early = sorted(STAGES, key=lambda stage: stage.name != Stage.SAMPLE)
    monkeypatch.setattr(pipeline, "STAGES", tuple(early))
    with pytest.raises(LookupError, match="needs what train gives"):
        run_bench(plan(), registry, out=tmp_path / "run", device="cpu")


def test_the_seconds_of_a_cell_are_kept_by_stage_and_name(plan, registry, tmp_path, monkeypatch):
    monkeypatch.setattr("memtk.bench.run.build_report", lambda folder, registry: folder)
    run = run_bench(plan(compare=("release-filter",)), registry, out=tmp_path / "run", device="cpu")
    for result in run.results:
        names = {key.partition(": ")[2] for key in result.timing}
        assert names == {"", "copycat", result.cell}
        assert {"read", "train embedder", "train: copycat"} <= set(result.timing)
        assert result.training_seconds == result.timing["train: copycat"]


@pytest.mark.parametrize(
    ("name", "variants", "said"),
    [("monai2d", (5, 5, 5), [5]), ("monai2d", (8, 8, 3), [3, 8]), ("copycat", (), [])],
)
def test_it_is_said_how_often_augmentation_is_new(plan, name, variants, said):
    phases = ("autoencoder", "adversarial", "diffusion")
    sets = [f"{name}.{phase}.variants={n}" for phase, n in zip(phases, variants, strict=False)]
    made = plan(*sets, generator=(name,), mitigation=("augment",))
    [effect] = pipeline.augmented(Experiment.of(made, f"{name}+augment"))
    assert (effect.did, effect.variants) == ("augmented", said)
