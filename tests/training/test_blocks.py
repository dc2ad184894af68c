import pytest
import torch
from torch import nn

from memtk.errors import UserError
from memtk.interfaces import Phase
from memtk.noise import Noise
from memtk.training.devices import Blocks, blocks_of
from memtk.training.footprint import describe


def kept(model, phase, x):
    """Bytes kept for the backward pass of the first turn, weights left out."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    found = {}

    def pack(t):
        if t.untyped_storage().data_ptr() not in own:
            found[t.untyped_storage().data_ptr()] = t
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        phase.turns[0].loss(x, Noise(0, range(len(x))))
    return sum(t.untyped_storage().nbytes() for t in found.values())


def deep(toy, **settings):
    """A model whose blocks are most of it, with dropout inside of them."""
    model = toy.make(toy.Small, phase={"steps": 6, **settings})
    torch.manual_seed(0)
    model.stack = nn.ModuleList(
        nn.Sequential(nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 64), nn.Dropout(0.3))
        for _ in range(2)
    )
    linear = model.linear

    def embed(x):
        z = x.flatten(1)
        for block in model.stack:
            z = z + block(z)
        return linear(z)

    model.embed = embed
    phases = model.phases
    model.phases = lambda: tuple(
        Phase(p.name, p.settings, tuple(_all(model, t) for t in p.turns)) for p in phases()
    )
    model.blocks_of = lambda phase: model.stack
    return model


def _all(model, turn):
    return type(turn)(turn.name, model.parameters, turn.loss, turn.learning_rate)


@pytest.mark.parametrize("make", [deep, lambda toy, **s: toy.make(autoencoder=s, denoiser=s)])
def test_computing_again_changes_no_number(toy, run, tmp_path, make):
    plain, again = make(toy), make(toy, recompute=True)
    one = run(plain, folder=tmp_path / "plain")
    other = run(again, folder=tmp_path / "again")
    assert one.losses == other.losses
    assert toy.same(plain, again)


def test_computing_again_keeps_less(toy):
    model, x = deep(toy, recompute=True).train(), torch.rand(64, 1, 8, 8)
    phase = model.phases()[0]
    plain = kept(model, phase, x)
    blocks = Blocks(model, phase)
    assert kept(model, phase, x) < plain / 2
    blocks.close()
    assert kept(model, phase, x) == plain


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_blocks_train_to_the_same_losses(toy, run, tmp_path, backend):
    plain, compiled = toy.make(dropout=0.0), toy.make(
        dropout=0.0, autoencoder={"compile": backend}, denoiser={"compile": backend}
    )  # fmt: skip
    one = run(plain, folder=tmp_path / "plain").losses
    other = run(compiled, folder=tmp_path / "compiled").losses
    for phase in one:
        for (_, a), (_, b) in zip(one[phase], other[phase], strict=True):
            assert b == pytest.approx(a, rel=1e-4)


def test_compiled_blocks_can_be_computed_again(toy, run):
    run(deep(toy, compile="eager", recompute=True))


def test_blocks_get_their_own_forward_back(toy, run):
    model = toy.make(denoiser={"recompute": True, "compile": "eager"})
    own = model.denoiser.forward = lambda x, f=model.denoiser.forward: f(x)
    run(model)
    assert model.denoiser.forward is own
    assert "forward" not in vars(model.encoder)


def test_a_block_that_is_named_twice_is_one(toy):
    model = toy.make()
    model.blocks_of = lambda phase: [model.encoder, model.encoder]
    assert blocks_of(model, model.phases()[0]) == [model.encoder]


@pytest.mark.parametrize("setting", [{"recompute": True}, {"compile": "inductor"}])
def test_a_model_without_blocks_is_told_before_it_is_trained(toy, run, setting):
    model = toy.make(toy.Small, phase=setting)
    (name,) = setting
    for work in (run, describe):
        with pytest.raises(UserError, match=f"names no blocks of its phase 'phase', which {name}"):
            work(model)
