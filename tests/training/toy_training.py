"""Tiny models on 8x8 images, and a script that trains one: for tests that need a process."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from memtk.interfaces import (
    ComponentConfig,
    Embedder,
    Generator,
    ImageSpec,
    Phase,
    PhaseSettings,
    Trainable,
    Turn,
)
from memtk.noise import seeded

SPEC = ImageSpec((8, 8))


class Tensors:
    """Images in memory."""

    spec = SPEC

    def __init__(self, x):
        self.x, self.reads = x, []

    def __len__(self):
        return len(self.x)

    def read(self, indices):
        self.reads.append(list(indices))
        return self.x[list(indices)]


def pictures(count=12):
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


class TwoPhase(Generator):
    """An adversarial autoencoder, then a denoiser on its latents with a scale found in `begin`."""

    class Config(ComponentConfig):
        autoencoder: PhaseSettings = PhaseSettings(
            steps=6, batch_size=4, precision="float32", ema_decay=0.9
        )
        denoiser: PhaseSettings = PhaseSettings(
            steps=9,
            batch_size=5,
            precision="float32",
            ema_decay=0.9,
            ema_every=2,
            schedule="one-cycle",
            variants=3,
        )
        width: int = 8
        dropout: float = 0.2

    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.encoder = nn.Sequential(nn.Conv2d(1, 4, 2, 2), nn.SiLU(), nn.Conv2d(4, 2, 2, 2))
        self.decoder = nn.Sequential(nn.Flatten(), nn.Linear(8, 64), nn.Unflatten(1, (1, 8, 8)))
        self.critic = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
        self.denoiser = nn.Sequential(
            nn.Linear(9, config.width),
            nn.SiLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.width, 8),
        )
        self.register_buffer("scale", torch.ones(()))
        self.begun = self.encoded = 0

    def phases(self):
        def of(*modules):
            return lambda: [p for module in modules for p in module.parameters()]

        c = self.config
        return (
            Phase(
                "autoencoder",
                c.autoencoder,
                (
                    Turn("autoencoder", of(self.encoder, self.decoder), self.rebuild, 1e-2),
                    Turn("critic", of(self.critic), self.judge, 1e-3, (0.5, 0.9)),
                ),
            ),
            Phase(
                "denoiser",
                c.denoiser,
                (Turn("denoiser", of(self.denoiser), self.denoise, 1e-2),),
                encode=self.encode,
                begin=self.begin,
            ),
        )

    def blocks_of(self, phase):
        return [self.encoder, self.decoder] if phase == "autoencoder" else [self.denoiser]

    def rebuild(self, x, noise):
        z = self.encoder(x)
        y = self.decoder(z + 0.1 * noise.normal(*z.shape[1:]))
        return {"l1": (x - y).abs().mean(), "fool": -0.1 * self.critic(y).mean()}

    def judge(self, x, noise):
        y = self.decoder(self.encoder(x)).detach()
        return {"hinge": (1 - self.critic(x)).relu().mean() + (1 + self.critic(y)).relu().mean()}

    def encode(self, x):
        assert not self.training and not torch.is_grad_enabled()
        self.encoded += len(x)
        return self.encoder(x).flatten(1)

    def begin(self, batches):
        self.begun += 1
        self.scale = 1 / torch.cat(list(batches)).std()

    def denoise(self, x, noise):
        t, e = noise.uniform(1), noise.normal(8)
        guess = self.denoiser(torch.cat([(1 - t) * x * self.scale + t * e, t], 1))
        return {"mse": (guess - e).square().mean()}

    def sample(self, noise):
        e, t = noise.normal(8), torch.ones(len(noise), 1, device=noise.device)
        return self.decoder((e - self.denoiser(torch.cat([e, t], 1))) / self.scale)


class Small(Embedder):
    """One linear map, trained to be 1 on every image: one phase, one turn, no surprises."""

    width = 3

    class Config(ComponentConfig):
        phase: PhaseSettings = PhaseSettings(
            steps=5, batch_size=6, precision="float32", clip_norm=None
        )
        learning_rate: float = 1e-2

    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.linear = nn.Linear(64, 3)

    def phases(self):
        turn = Turn("only", self.linear.parameters, self.loss, self.config.learning_rate)
        return (Phase("phase", self.config.phase, (turn,)),)

    def loss(self, x, noise):
        return {"mse": (self.embed(x) - 1 + 0.1 * noise.normal(3)).square().mean()}

    def embed(self, x):
        return self.linear(x.flatten(1))


class Coupled(Small):
    """Its loss is no mean over rows."""

    def phases(self):
        turn = Turn("only", self.linear.parameters, self.couple, 1e-2)
        return (Phase("coupled", self.config.phase, (turn,), whole_batch=True),)

    def couple(self, x, noise):
        z = self.embed(nn.functional.dropout(x) + noise.normal(1, 1, 1))
        return {"alike": torch.softmax(z @ z.T, 1).diagonal().log().mean()}


def make(kind=TwoPhase, **overrides):
    config = kind.Config(**_merged(kind.Config(), overrides))
    with seeded(3):
        return kind(config, SPEC)


def _merged(config, overrides):
    tree = config.model_dump()
    for key, value in overrides.items():
        tree[key] = {**tree[key], **value} if isinstance(value, Mapping) else value
    return tree


def same(one: Trainable, other: Trainable):
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def main(folder, steps, pause):
    """Train, sample and embed in this process (of several); print the losses as JSON."""
    import time

    from memtk.training.devices import open_devices, shard
    from memtk.training.inference import embed, map_rows, sample
    from memtk.training.job import TrainingOptions
    from memtk.training.loop import train

    torch.set_num_threads(1)
    devices = open_devices("cpu")
    folder = Path(folder)

    def watch(event):
        if event.kind == "step" and "denoiser" in event.stage:
            time.sleep(pause)

    dropping = {"schedule": "milestones", "milestones": (1,), "weight_decay": 0.1}
    model = make(
        autoencoder={**dropping, "recompute": True, "prefetch": 0},
        denoiser={"steps": steps, "recompute": True, "prefetch": 3},
        dropout=0.0,
    )
    images = Tensors(pictures())
    training = train(
        model,
        images,
        seed=1,
        folder=folder,
        devices=devices,
        options=TrainingOptions(
            checkpoints=2,
            save_every=0.0,
            augment=lambda x, noise: x + 0.1 * noise.normal(1, 8, 8),
        ),
        watch=watch,
    )
    lonely = train(
        make(Small, phase={"batch_size": 1, "clip_norm": 3.0}),
        images,
        seed=1,
        folder=folder / "lonely",
        devices=devices,
    )
    coupled = train(make(Coupled), images, seed=1, folder=folder / "coupled", devices=devices)
    table = embed(make(Small), images, batch_size=5, devices=devices)
    blocks = map_rows(devices, 7, 2, lambda rows: torch.tensor(rows))
    found = {
        "losses": {**training.losses, **lonely.losses, **coupled.losses},
        "embeddings": table.tolist(),
        "blocks": torch.cat(list(blocks)).tolist(),
        "collected": devices.collect(devices.rank),
        "shard": list(shard(range(5), devices.rank, devices.world)),
        "world": devices.world,
    }
    synthetic = []
    drawn = sample(model, 7, seed=2, batch_size=2, devices=devices)
    devices.write(drawn, synthetic.extend)
    found["written"] = [x for block in synthetic for x in block.tolist()]
    drawn = sample(model, 7, seed=2, batch_size=2, devices=devices)
    found["synthetic"] = torch.cat(list(drawn)).tolist()
    (folder / f"found-{devices.rank}.json").write_text(json.dumps(found))
    if devices.world > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
