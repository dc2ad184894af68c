import copy

import pytest
import torch

from memtk.errors import PluginError
from memtk.interfaces import Phase, PhaseSettings, Turn
from memtk.noise import Noise, derive
from memtk.training.batches import Order, micro_batches
from memtk.training.steps import Stepper


def batch_of(phase, x, step=0, world=1):
    found = micro_batches(step, phase.settings.batch_size, phase.settings.accumulate, 0, world)
    order = Order(1, phase.name, len(x))
    return [(part, x[order.images(part.samples)]) for part in found]


@pytest.fixture
def stepper(devices):
    def make(model, phase, dtype=None, milestones=()):
        return Stepper(model, phase, 1, devices, dtype, milestones)

    return make


def test_each_turn_moves_exactly_its_parameters(toy, stepper):
    model = toy.make()
    phase = model.phases()[0]
    x = toy.pictures()
    only_first = Phase(phase.name, phase.settings, phase.turns[:1])
    before = copy.deepcopy(model.state_dict())
    first = stepper(model, only_first)
    first.step(0, batch_of(phase, x))
    first.close()
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    own = {k for k, _ in model.named_parameters() if k.startswith(("encoder", "decoder"))}
    assert moved == own
    before = copy.deepcopy(model.state_dict())
    second = stepper(model, Phase(phase.name, phase.settings, phase.turns[1:]))
    second.step(1, batch_of(phase, x, 1))
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {"critic.1.weight"}  # the hinge at its start pulls the bias both ways


def test_the_other_turns_weights_get_no_gradient(toy, stepper):
    model = toy.make()
    phase = model.phases()[0]
    one = stepper(model, phase)
    seen = []
    critic = phase.turns[1].loss
    model.judge = lambda x, noise: (
        seen.append([n for n, p in model.named_parameters() if p.requires_grad]) or critic(x, noise)
    )
    generator_grads = []
    rebuild = model.rebuild
    model.rebuild = lambda x, noise: (
        generator_grads.append(model.critic[1].weight.grad) or rebuild(x, noise)
    )
    one.step(0, batch_of(phase, toy.pictures()))
    assert seen == [["critic.1.weight", "critic.1.bias"]]
    assert generator_grads == [None]


def test_a_step_is_that_of_a_hand_made_loop(toy, stepper):
    model = toy.make(toy.Small, phase={"clip_norm": 0.1, "schedule": "cosine"})
    phase, hand, x = model.phases()[0], copy.deepcopy(model), toy.pictures()
    one = stepper(model, phase)
    losses = [one.step(step, batch_of(phase, x, step))["mse"] for step in range(5)]
    adam = torch.optim.Adam(hand.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 5)
    for step in range(5):
        samples = range(step * 6, step * 6 + 6)
        noise = Noise(derive(1, "phase", "only", "noise"), samples)
        loss = hand.loss(x[Order(1, "phase", 12).images(samples)], noise)["mse"]
        adam.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(hand.parameters(), 0.1)
        assert norm > 0.1
        adam.step()
        schedule.step()
        assert losses[step] == pytest.approx(loss.item(), rel=1e-6)
    assert torch.allclose(model.linear.weight, hand.linear.weight, atol=1e-6)


@pytest.mark.parametrize("accumulate", [2, 4, 50])
def test_micro_batches_make_the_same_step(toy, stepper, accumulate):
    plain, split = (toy.make(toy.Small, phase={"accumulate": count}) for count in (1, accumulate))
    x = toy.pictures()
    ones, others = stepper(plain, plain.phases()[0]), stepper(split, split.phases()[0])
    for step in range(3):
        one = ones.step(step, batch_of(plain.phases()[0], x, step))
        other = others.step(step, batch_of(split.phases()[0], x, step))
        assert one["mse"] == pytest.approx(other["mse"], rel=1e-5)
    assert torch.allclose(plain.linear.weight, split.linear.weight, atol=1e-5)


def test_the_gradient_is_clipped_to_the_norm(toy, stepper):
    model = toy.make(toy.Small, phase={"clip_norm": 1e-3})
    one = stepper(model, model.phases()[0])
    one.step(0, batch_of(model.phases()[0], toy.pictures()))
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_losses_are_computed_in_the_precision_asked_for_and_weights_stay_float32(toy, stepper):
    model, seen = toy.make(toy.Small), []
    loss = model.loss
    model.loss = lambda x, noise: seen.append(model.embed(x).dtype) or loss(x, noise)
    stepper(model, model.phases()[0], torch.bfloat16).step(
        0, batch_of(model.phases()[0], toy.pictures())
    )
    assert seen == [torch.bfloat16]
    assert model.linear.weight.dtype == torch.float32


def test_dropout_depends_on_the_step_alone(toy, stepper):
    x = torch.rand(12, 8)
    found = []
    for noise_before in (0, 3):
        torch.rand(noise_before)
        model = toy.make(dropout=0.5)
        phase = model.phases()[1]
        found.append(stepper(model, phase).step(4, batch_of(phase, x, 4)))
    assert found[0] == found[1]


def test_a_turn_without_parameters_is_refused(toy, stepper):
    model = toy.make(toy.Small)
    turn = Turn("lazy", list, model.loss, 1e-3)
    with pytest.raises(PluginError, match="'lazy' of phase 'p' moves no parameters"):
        stepper(model, Phase("p", PhaseSettings(), (turn,)))


def test_a_turn_that_moves_weights_outside_the_model_is_refused(toy, stepper):
    model = toy.make(toy.Small)
    turn = Turn("thief", torch.nn.Linear(2, 2).parameters, model.loss, 1e-3)
    with pytest.raises(PluginError, match="2 parameters outside the model"):
        stepper(model, Phase("p", PhaseSettings(), (turn,)))


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({}, "must be a dict of scalar tensors by name, not an empty one"),
        (torch.tensor(0.5), "must be a dict of scalar tensors by name, not a Tensor"),
        (None, "must be a dict of scalar tensors by name, not a NoneType"),
        ({"rows": torch.ones(3)}, r"'rows' of turn .* has the shape \(3,\), not a scalar"),
        ({"mse": 0.5}, "'mse' of turn .* is a float, not a tensor"),
    ],
)
def test_a_loss_that_is_no_scalars_by_name_is_refused(toy, stepper, terms, said):
    model = toy.make(toy.Small)
    model.loss = lambda x, noise: terms
    with pytest.raises(PluginError, match=said):
        stepper(model, model.phases()[0]).step(0, batch_of(model.phases()[0], toy.pictures()))


def test_weights_decay_and_rates_drop_as_in_torch(toy, stepper):
    dropping = {"schedule": "milestones", "milestones": (2, 3), "weight_decay": 0.5}
    model = toy.make(toy.Small, phase={**dropping, "gamma": 0.3, "clip_norm": None})
    phase, hand, x = model.phases()[0], copy.deepcopy(model), toy.pictures()
    one = stepper(model, phase, milestones=(2, 3))
    adam = torch.optim.AdamW(hand.parameters(), lr=1e-2, weight_decay=0.5)
    schedule = torch.optim.lr_scheduler.MultiStepLR(adam, [2, 3], gamma=0.3)
    for step in range(5):
        one.step(step, batch_of(phase, x, step))
        samples = range(step * 6, step * 6 + 6)
        noise = Noise(derive(1, "phase", "only", "noise"), samples)
        adam.zero_grad()
        hand.loss(x[Order(1, "phase", 12).images(samples)], noise)["mse"].backward()
        adam.step()
        schedule.step()
    assert torch.allclose(model.linear.weight, hand.linear.weight, atol=1e-6)
    plain = toy.make(toy.Small)
    assert type(stepper(plain, plain.phases()[0]).optimisers["only"]) is torch.optim.Adam
