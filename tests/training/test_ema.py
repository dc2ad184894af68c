import pytest
import torch

from memtk.training.checkpoints import load_checkpoint
from memtk.training.steps import EMA


def weights(count=5):
    g = torch.Generator().manual_seed(0)
    return [torch.randn(3, 2, generator=g) for _ in range(count)]


def test_the_average_is_that_of_a_hand_made_loop():
    series = weights()
    parameter = torch.nn.Parameter(series[0].clone())
    average, expected = EMA([parameter], 0.3), series[0].double()
    for n, weight in enumerate(series[1:]):
        parameter.data.copy_(weight)
        average.update()
        decay = min(0.3, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * weight.double()
    assert torch.allclose(average.weights[0].double(), expected, atol=1e-6)


def test_the_model_has_the_average_for_the_length_of_a_block():
    parameter = torch.nn.Parameter(torch.zeros(2))
    average = EMA([parameter], 0.9)
    parameter.data.fill_(1.0)
    average.updates = 1
    with average.applied():
        assert parameter.tolist() == [0.0, 0.0]
    assert parameter.tolist() == [1.0, 1.0]
    assert average.weights[0].tolist() == [0.0, 0.0]


def test_a_saved_average_goes_on():
    series = weights()
    whole, half = (torch.nn.Parameter(series[0].clone()) for _ in range(2))
    one, other = EMA([whole], 0.9), EMA([half], 0.9)
    for weight in series[1:3]:
        for p, a in ((whole, one), (half, other)):
            p.data.copy_(weight)
            a.update()
    restored = EMA([half], 0.9)
    restored.load_state_dict(other.state_dict())
    for p, a in ((whole, one), (half, restored)):
        p.data.copy_(series[3])
        a.update()
    assert torch.equal(one.weights[0], restored.weights[0])


@pytest.mark.parametrize("every", [1, 2])
def test_a_trained_model_has_averaged_weights_and_its_checkpoints_too(
    toy, run, tmp_path, monkeypatch, every
):
    monkeypatch.setattr("memtk.events.INTERVAL", 0.0)
    plain_model, series = toy.make(toy.Small, phase={"steps": 4}), []
    start = plain_model.linear.weight.detach().clone()

    def watch(event):
        if event.kind == "step":
            series.append(plain_model.linear.weight.detach().clone())

    run(plain_model, folder=tmp_path / "plain", watch=watch)
    model = toy.make(toy.Small, phase={"steps": 4, "ema_decay": 0.6, "ema_every": every})
    training = run(model, folder=tmp_path / "averaged", checkpoints=2)
    expected, halfway, n = start, None, 0
    for done, weight in enumerate(series, 1):
        if done % every == 0:
            decay = min(0.6, (1 + n) / (10 + n))
            expected, n = decay * expected + (1 - decay) * weight, n + 1
        halfway = expected if done == 2 else halfway
    assert torch.allclose(model.linear.weight, expected, atol=1e-6)
    load_checkpoint(model, training.checkpoints[0].path)
    assert torch.allclose(model.linear.weight, halfway, atol=1e-6)


def test_a_training_too_short_for_an_update_keeps_its_weights(toy, run, tmp_path):
    averaged, plain = (
        toy.make(toy.Small, phase={"ema_decay": 0.9, "ema_every": 10}),
        toy.make(toy.Small),
    )
    run(averaged, folder=tmp_path / "averaged")
    run(plain, folder=tmp_path / "plain")
    assert torch.equal(averaged.linear.weight, plain.linear.weight)


def test_the_second_turn_is_not_averaged(toy, run, tmp_path):
    averaged, plain = (toy.make(autoencoder={"ema_decay": decay}) for decay in (0.9, 0.0))
    for model, name in ((averaged, "averaged"), (plain, "plain")):
        phases = model.phases()[:1]
        model.phases = lambda phases=phases: phases
        run(model, folder=tmp_path / name)
    assert torch.equal(averaged.critic[1].weight, plain.critic[1].weight)
    assert not torch.equal(averaged.encoder[0].weight, plain.encoder[0].weight)
