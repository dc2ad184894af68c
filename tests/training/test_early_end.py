import pytest
import torch
from training import toy_training

from memtk.errors import PluginError, UserError
from memtk.interfaces import Phase, PhaseSettings
from memtk.training.checkpoints import load_checkpoint


class Seeing(toy_training.Small):
    """Says that it sees as much as `told` gives, one number a measurement."""

    class Config(toy_training.Small.Config):
        phase: PhaseSettings = PhaseSettings(
            steps=300, batch_size=6, precision="float32", ema_decay=0.5, enough=0.9
        )

    def phases(self):
        (phase,) = super().phases()
        return (Phase(phase.name, phase.settings, phase.turns, measure=self.measure),)

    def measure(self, x, noise):
        assert not self.training and not torch.is_grad_enabled()
        self.measured.append((x.clone(), noise.normal(2), self.linear.weight.clone()))
        return self.told[len(self.measured) - 1]


def seeing(told, **settings):
    model = toy_training.make(Seeing, phase=settings)
    model.told, model.measured = told, []
    return model


def test_a_training_ends_once_two_measurements_in_a_row_are_enough(run, tmp_path):
    model = seeing([0.95, 0.8, 0.9, 1.0, 1.0])
    curve = run(model).losses["phase"]
    seen = [(step, values["seen"]) for step, values in curve if "seen" in values]
    assert seen == [(150, 0.95), (175, 0.8), (200, 0.9), (225, 1.0)]  # from half of 300 on
    assert curve[-1][0] == 225
    shorter = seeing([], steps=225, enough=0.0)
    run(shorter, folder=tmp_path / "shorter")
    assert toy_training.same(model, shorter)  # the averaged weights after 225 steps


def test_what_is_never_enough_takes_all_steps(run):
    model = seeing([0.9, 0.0] * 5)
    assert run(model).losses["phase"][-1][0] == 300
    assert len(model.measured) == 7


def test_it_is_measured_with_averaged_weights_on_the_same_rows_with_the_same_noise(run):
    model = seeing([0.0] * 9)
    run(model)
    (rows, noise, weights), *others = model.measured
    assert sorted(rows.flatten().tolist()) == sorted(toy_training.pictures().flatten().tolist())
    for again, drawn, later in others:
        assert torch.equal(rows, again) and torch.equal(noise, drawn)
        assert not torch.equal(weights, later)
    assert torch.equal(others[-1][2], model.linear.weight)  # the average is what is left


def test_one_image_of_each_patient_is_looked_at(run, images):
    images.patients = ["a", "b"] * 6
    model = seeing([1.0, 1.0])
    run(model)
    everyone = toy_training.pictures().tolist()
    which = [everyone.index(row) for row in model.measured[0][0].tolist()]
    assert sorted(i % 2 for i in which) == [0, 1]


@pytest.mark.parametrize("at", [150, 160, 175])
def test_a_stopped_one_ends_at_the_same_step_with_the_same_bits(run, tmp_path, monkeypatch, at):
    monkeypatch.setattr("memtk.training.checkpoints.PATIENCE", 0)
    monkeypatch.setattr("memtk.events.INTERVAL", 0.0)
    straight = seeing([1.0, 1.0])
    told = run(straight, folder=tmp_path / "straight")

    def stop(event):
        if event.kind == "step" and event.step == at:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(seeing([1.0, 1.0]), folder=tmp_path / "stopped", save_every=0.0, watch=stop)
    resumed = seeing([1.0, 1.0] if at == 150 else [1.0])
    again = run(resumed, folder=tmp_path / "stopped")
    assert toy_training.same(straight, resumed)
    assert again.losses == told.losses
    load_checkpoint(resumed, again.checkpoints[-1].path)
    assert toy_training.same(straight, resumed)


def test_a_phase_that_measures_nothing_refuses_to_end_early(run):
    with pytest.raises(UserError, match="nothing measures"):
        run(toy_training.make(toy_training.Small, phase={"enough": 0.9}))


def test_checkpoints_on_the_way_do_not_go_together_with_an_early_end(run):
    with pytest.raises(PluginError, match="checkpoints on the way"):
        run(seeing([]), checkpoints=2)


def test_a_setting_that_is_off_stands_in_no_record():
    assert "enough" not in PhaseSettings().model_dump(mode="json")
    assert PhaseSettings(enough=0.5).model_dump(mode="json")["enough"] == 0.5
