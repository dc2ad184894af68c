import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from memtk.errors import PluginError, UserError
from memtk.interfaces import Phase, PhaseSettings
from memtk.training.batches import Order
from memtk.training.checkpoints import load_checkpoint, write_checkpoint


class Stop(Exception):
    pass


def stopper(stage, kind, step=None):
    def watch(event):
        if event.stage == stage and event.kind == kind and step in (None, event.step):
            raise Stop

    return watch


def noisy(x, noise):
    return x + 0.1 * noise.normal(1, 8, 8)


@pytest.fixture(autouse=True)
def every_step_is_told_and_saved(monkeypatch):
    monkeypatch.setattr("memtk.training.checkpoints.PATIENCE", 0)
    monkeypatch.setattr("memtk.events.INTERVAL", 0.0)


def test_a_trained_model_has_the_weights_of_its_last_checkpoint(toy, run):
    model = toy.make()
    training = run(model, checkpoints=3)
    assert [c.step for c in training.checkpoints] == [3, 6, 9]
    other = toy.make()
    load_checkpoint(other, training.checkpoints[-1].path)
    assert toy.same(model, other)
    load_checkpoint(other, training.checkpoints[0].path)
    assert not toy.same(model, other)
    assert training.precision == {"autoencoder": "float32", "denoiser": "float32"}
    assert set(training.losses["autoencoder"][0][1]) == {
        "autoencoder.l1",
        "autoencoder.fool",
        "critic.hinge",
    }
    assert [step for step, _ in training.losses["denoiser"]] == list(range(1, 10))
    assert training.losses["denoiser"][-1][1].keys() == {"mse"}


@pytest.mark.parametrize(
    "stops",
    [
        [("training model: autoencoder", "step", 2), ("training model: autoencoder", "step", 5)],
        [("training model: autoencoder", "end", None), ("encoding model: denoiser", "step", None)],
        [("training model: denoiser", "start", None), ("training model: denoiser", "step", 4)],
        [("training model: denoiser", "step", 3), ("training model: denoiser", "end", None)],
    ],
)
@pytest.mark.parametrize("augment", [None, noisy])
def test_a_stopped_training_ends_with_the_same_bits(toy, run, tmp_path, stops, augment):
    straight = toy.make()
    told = run(straight, folder=tmp_path / "straight", checkpoints=2, augment=augment)
    for stage, kind, step in stops:
        with pytest.raises(Stop):
            run(
                toy.make(),
                folder=tmp_path / "stopped",
                checkpoints=2,
                augment=augment,
                save_every=0.0,
                watch=stopper(stage, kind, step),
            )
    resumed = toy.make()
    again = run(resumed, folder=tmp_path / "stopped", checkpoints=2, augment=augment)
    assert toy.same(straight, resumed)
    assert again.losses == told.losses
    for one, other in zip(told.checkpoints, again.checkpoints, strict=True):
        a, b = toy.make(), toy.make()
        load_checkpoint(a, one.path)
        load_checkpoint(b, other.path)
        assert toy.same(a, b)
    assert not list((tmp_path / "stopped").glob("encoded-*"))


def test_a_training_that_saved_long_ago_goes_on_from_there(toy, run, tmp_path):
    straight = toy.make()
    run(straight, folder=tmp_path / "straight", checkpoints=2)
    with pytest.raises(Stop):
        run(toy.make(), checkpoints=2, watch=stopper("training model: denoiser", "step", 7))
    started = []
    resumed = toy.make()
    run(resumed, checkpoints=2, watch=lambda e: started.append((e.kind, e.step)))
    assert ("start", 4) in started  # the state was saved with the checkpoint at step 4
    assert toy.same(straight, resumed)


def test_a_lost_encoding_is_made_again(toy, run, tmp_path):
    straight = toy.make()
    run(straight, folder=tmp_path / "straight", augment=noisy)
    with pytest.raises(Stop):
        run(
            toy.make(),
            augment=noisy,
            save_every=0.0,
            watch=stopper("training model: denoiser", "step", 4),
        )
    (tmp_path / "encoded-denoiser.npy").unlink()
    resumed = toy.make()
    run(resumed, augment=noisy)
    assert resumed.encoded == 12 * 3 and resumed.begun == 0
    assert toy.same(straight, resumed)


def test_a_finished_training_is_not_trained_again(toy, run):
    model, events = toy.make(), []
    first = run(model)
    other = toy.make()
    second = run(other, watch=events.append)
    assert second == first
    assert toy.same(model, other)
    assert [(e.kind, e.stage) for e in events] == [
        ("skip", "training model: autoencoder"),
        ("skip", "training model: denoiser"),
    ]


def test_sigkill_changes_nothing(toy, tmp_path):
    env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}

    command = [sys.executable, toy.__file__, str(tmp_path / "killed"), "12", "0.25"]
    for name in ("straight", "killed"):
        (tmp_path / name).mkdir()
    process = subprocess.Popen(command, env=env)
    toy.main(tmp_path / "straight", 12, 0)
    half = tmp_path / "killed" / "checkpoints" / "step-000006.pt"
    deadline = time.monotonic() + 200
    while not half.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert half.exists() and not (tmp_path / "killed" / "found-0.json").exists()
    toy.main(tmp_path / "killed", 12, 0)
    for name in ("step-000006.pt", "step-000012.pt"):
        one, other = (
            torch.load(tmp_path / f / "checkpoints" / name, weights_only=True)["model"]
            for f in ("straight", "killed")
        )
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_begin_is_called_once_and_each_image_encoded_once(toy, run):
    model = toy.make()
    run(model)
    assert (model.begun, model.encoded) == (1, 12)


def test_each_augmented_variant_is_encoded_once(toy, run):
    model = toy.make()
    run(model, augment=noisy)
    assert (model.begun, model.encoded) == (1, 12 * 3)


def test_every_epoch_sees_every_image_once(toy, run, images):
    model = toy.make(toy.Small, phase={"steps": 6, "batch_size": 5})
    run(model, images)
    seen = [i for read in images.reads for i in read]
    assert sorted(seen[:12]) == sorted(seen[12:24]) == list(range(12)) != seen[:12]
    assert seen == Order(1, "phase", 12).images(range(30))


def test_the_global_generator_is_left_as_it_was(toy, run):
    before = torch.get_rng_state()
    run(toy.make(), augment=noisy)
    assert torch.equal(before, torch.get_rng_state())


def test_the_global_generator_does_not_matter(toy, run, tmp_path):
    one, other = toy.make(), toy.make()
    run(one, folder=tmp_path / "one")
    torch.rand(5)
    run(other, folder=tmp_path / "other")
    assert toy.same(one, other)


def test_another_seed_gives_other_weights(toy, run, tmp_path):
    one, other = toy.make(), toy.make()
    run(one, folder=tmp_path / "one")
    run(other, folder=tmp_path / "other", seed=2)
    assert not toy.same(one, other)


def test_augmentation_is_drawn_anew_at_each_step(toy, run):
    seen = []

    def augment(x, noise):
        seen.extend(noise.uniform().tolist())
        return x

    model = toy.make(toy.Small)
    plain = toy.make(toy.Small)
    run(model, augment=augment)
    assert len(set(seen)) == 30
    assert not toy.same(model, plain)


def test_a_model_that_comes_trained_has_one_checkpoint(toy, run):
    model = toy.make()
    model.phases = lambda: ()
    training = run(model, checkpoints=3)
    assert [c.step for c in training.checkpoints] == [0]
    assert run(model, checkpoints=3) == training
    other = toy.make(dropout=0.5)
    load_checkpoint(other, training.checkpoints[0].path)
    assert toy.same(model, other)


def test_a_phase_that_only_looks_has_one_checkpoint_with_what_it_saw(toy, run, images):
    def copycat():
        model = toy.make(toy.Small)
        model.register_buffer("album", None)

        def begin(batches):
            model.album = torch.cat(list(batches))

        phase = Phase("look", PhaseSettings(steps=50, batch_size=5), begin=begin)
        model.phases = lambda: (phase,)
        return model

    training = run(copycat(), checkpoints=4)
    assert [c.step for c in training.checkpoints] == [0]
    other = copycat()
    run(other, checkpoints=4)
    assert torch.equal(other.album, images.x)


def test_a_loss_that_is_not_a_number_names_phase_turn_step_and_term(toy, run, tmp_path):
    model = toy.make()
    judge = model.judge
    calls = []

    def broken(x, noise):
        calls.append(1)
        return {
            name: v * (float("nan") if len(calls) > 4 else 1) for name, v in judge(x, noise).items()
        }

    model.judge = broken
    with pytest.raises(UserError) as error:
        run(model, save_every=0.0, name="toy")
    text = str(error.value)
    for part in ("training toy", "hinge = nan", "'critic'", "'autoencoder'", "step 5 of 6"):
        assert part in text
    assert "after step 4 is kept" in text and str(tmp_path / "state.pt") in text
    assert "lower learning rate" in text
    healthy, straight = toy.make(), toy.make()
    run(healthy)
    run(straight, folder=tmp_path / "straight")
    assert toy.same(healthy, straight)


def test_a_gradient_that_is_not_finite_is_told_before_it_moves_a_weight(toy, run):
    model = toy.make(toy.Small)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.loss = lambda x, noise: {"root": (model.embed(x) * 0).abs().sum().sqrt()}
    with pytest.raises(UserError, match="gradient norm = nan.*\n"):
        run(model)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_a_training_with_other_settings_is_refused(toy, run, tmp_path):
    run(toy.make())
    for options, model, text in [
        ({"seed": 2}, toy.make(), "seed was 1 and is now 2"),
        ({"checkpoints": 2}, toy.make(), r"checkpoints was \[9\] and is now \[4, 9\]"),
        ({"augment": noisy}, toy.make(), "augmented was False"),
        ({}, toy.make(denoiser={"steps": 10}), "config.denoiser.steps was 9 and is now 10"),
        ({}, toy.make(toy.Small), "model was 'TwoPhase'"),
    ]:
        with pytest.raises(UserError, match=text) as error:
            run(model, **options)
        assert "--no-resume" in str(error.value)


def test_the_number_of_micro_batches_may_change_between_two_calls(toy, run):
    run(toy.make())
    run(toy.make(denoiser={"accumulate": 2}))


def test_a_finished_training_without_its_checkpoint_is_told(toy, run):
    training = run(toy.make(), checkpoints=2)
    training.checkpoints[0].path.unlink()
    with pytest.raises(UserError, match="step-000004.pt is gone"):
        run(toy.make(), checkpoints=2)


@pytest.mark.parametrize("keep", [0, 100, -200])
def test_a_damaged_state_is_told_with_its_name_and_a_way_out(toy, run, tmp_path, keep):
    with pytest.raises(Stop):
        run(toy.make(), save_every=0.0, watch=stopper("training model: denoiser", "step", 4))
    path = tmp_path / "state.pt"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="damaged") as error:
        run(toy.make())
    assert str(path) in str(error.value) and "delete it" in str(error.value)


def test_phases_and_turns_have_names_of_their_own(toy, run):
    model = toy.make(toy.Small)
    (phase,) = model.phases()
    model.phases = lambda: (phase, phase)
    with pytest.raises(PluginError, match="names of their own"):
        run(model)


def test_a_loss_that_couples_rows_is_not_split(toy, run, tmp_path):
    sizes = []
    model = toy.make(toy.Coupled)
    couple = model.couple
    model.couple = lambda x, noise: sizes.append(len(x)) or couple(x, noise)
    run(model)
    assert sizes == [6] * 5
    with pytest.raises(UserError, match="accumulate = 2.*cannot be split"):
        run(toy.make(toy.Coupled, phase={"accumulate": 2}), folder=tmp_path / "other")


def test_what_a_killed_call_left_half_written_is_removed(toy, run, tmp_path):
    (tmp_path / ".state.pt.01234567.tmp").write_bytes(b"half")
    run(toy.make(toy.Small))
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_file_that_is_no_state_is_told(toy, run, tmp_path):
    write_checkpoint(toy.make(), tmp_path / "state.pt", 3)
    with pytest.raises(UserError, match="is not the state of a training"):
        run(toy.make())


def test_no_images_is_told(toy, run):
    with pytest.raises(UserError, match="no training images"):
        run(toy.make(), toy.Tensors(torch.zeros(0, 1, 8, 8)))


def test_the_loss_curve_has_200_points_at_most(toy, run):
    model = toy.make(toy.Small, phase={"steps": 450, "batch_size": 1})
    curve = run(model).losses["phase"]
    assert 140 <= len(curve) <= 200
    assert curve[0][0] == 1 and curve[-1][0] == 450


def test_the_state_is_saved_no_more_often_than_asked(toy, run, monkeypatch):
    saved = []
    monkeypatch.setattr(
        "memtk.training.checkpoints.Checkpointer.save", lambda self, state: saved.append(state)
    )
    run(toy.make(), save_every=1000.0)
    assert [(s.progress.phase, s.progress.step) for s in saved] == [(1, 0), (1, 0), (2, 0)]


def test_a_model_is_left_in_eval_mode_with_its_flags_and_no_gradients(toy, run):
    model = toy.make()
    model.critic[1].bias.requires_grad_(False)
    run(model)
    assert not model.training
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == ["critic.1.bias"]
    assert all(p.grad is None for p in model.parameters())
