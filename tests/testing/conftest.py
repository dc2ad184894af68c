"""A sound component of every kind; tests, and the files of broken/, break copies of them."""

from __future__ import annotations

import html
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from memtk.errors import UserError
from memtk.interfaces import (
    ComponentConfig,
    Embedder,
    Generator,
    ImageSpec,
    Measure,
    Mitigation,
    Phase,
    PhaseSettings,
    ProtocolTable,
    QualityMeasure,
    Record,
    ReportFigure,
    SectionContent,
    Turn,
    Volume,
)


class Config(ComponentConfig):
    width: int = 3
    training: PhaseSettings = PhaseSettings(steps=2)


class SoundGenerator(Generator):
    """Two phases: an autoencoder-like pair of turns, then a decoder on encoded rows.

    What it is told of an image shifts the encoded row.
    """

    Config = Config
    presets = {"smoke": {"width": 2}}

    def __init__(self, config, spec):
        super().__init__(config, spec)
        size = spec.channels * int(np.prod(spec.shape))
        self.down = nn.Linear(size, config.width)
        self.up = nn.Linear(config.width, size)
        self.critic = nn.Linear(size, 1)
        self.kinds = nn.Linear(1, config.width)
        self.register_buffer("spread", torch.tensor(1.0))

    def phases(self):
        settings = self.config.training
        down = Turn("down", self.down.parameters, self.squeeze, 1e-2)
        critic = Turn("critic", self.critic.parameters, self.judge, 1e-2)
        decoding = nn.ModuleList([self.up, self.kinds])
        up = Turn("up", decoding.parameters, self.decode, 1e-2)
        return (
            Phase("first", settings, (down, critic)),
            Phase("second", settings, (up,), encode=self.encode, begin=self.measure),
        )

    def encode(self, x):
        return self.down(x.flatten(1))

    def measure(self, batches):
        self.spread.fill_(torch.cat(list(batches)).std())

    def squeeze(self, x, noise):
        return {"size": self.encode(x).square().mean()}

    def judge(self, x, noise):
        return {"verdict": self.critic(x.flatten(1)).square().mean()}

    def told(self, condition, rows):
        return self.kinds(torch.zeros(rows, 1) if condition is None else condition)

    def decode(self, z, noise, condition=None):
        shift = noise.normal(z.shape[1]) + self.told(condition, len(z))
        return {"l2": self.up(z + shift).square().mean()}

    def sample(self, noise, condition=None):
        z = noise.normal(self.config.width) * self.spread + self.told(condition, len(noise))
        return self.up(z).reshape(-1, self.spec.channels, *self.spec.shape).tanh()

    def reconstruct(self, x):
        return self.up(self.encode(x)).reshape(x.shape).tanh()

    def denoising_loss(self, x, t, noise):
        return self.encode(x).square().mean(1)


class SoundEmbedder(Embedder):
    Config = Config

    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.width = config.width
        self.net = nn.Linear(spec.channels * int(np.prod(spec.shape)), config.width)

    def phases(self):
        turn = Turn("net", self.net.parameters, self.loss, 1e-2)
        return (Phase("training", self.config.training, (turn,)),)

    def loss(self, x, noise):
        return {"l2": self.embed(x).square().mean()}

    def embed(self, x):
        return self.net(x.flatten(1))


class SoundSimilarity:
    """Minus the squared distance."""

    space = "embedding"

    def prepare(self, rows):
        return rows * 2

    def compare(self, queries, references):
        return -(queries[:, None] - references[None]).square().sum(-1)

    def pairs(self, queries, references):
        return -(queries - references).square().sum(-1)

    def compare_into(self, queries, references, out):
        out.copy_(self.compare(queries, references))


class SoundMitigation(Mitigation):
    Config = Config

    def choose(self, patients, rng):
        drawn = sorted(set(patients))
        kept = set(rng.permutation(drawn)[: self.config.width].tolist())
        return np.array([i for i, p in enumerate(patients) if p in kept])

    def augment(self, x, noise):
        shift = noise.uniform(1).reshape(-1, *[1] * (x.dim() - 1))
        return (x * 0.5 + shift * 0.1).clamp(-1, 1)

    def adjust(self, settings):
        return {**settings, "rate": settings.get("rate", 0) / 2}

    def release(self, synthetic):
        return np.arange(1, len(synthetic))


class SoundReader:
    """A line with the shape, and a line with the voxels."""

    suffixes = (".grid",)

    def records(self, path):
        self.head(path)
        return [Record(path)]

    def read(self, record):
        shape = self.head(record.path)
        lines = self.lines(record.path)
        try:
            voxels = np.array([float(v) for v in lines[1].split()]).reshape(1, *shape)
        except (ValueError, IndexError) as error:
            raise UserError(f"{record.path} is damaged") from error
        return Volume(voxels, (1.0, 2.0))

    def head(self, path):
        try:
            depth, width = (int(n) for n in self.lines(path, 20)[0].split())
        except (ValueError, IndexError) as error:
            raise UserError(f"{path} does not begin with two numbers") from error
        return depth, width

    def lines(self, path, size=-1):
        try:
            with path.open(encoding="ascii") as file:
                return file.read(size).splitlines()
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {path}") from error


class SoundMetric:
    """The difference of the means."""

    def __call__(self, real, fake):
        first, second = (images.read(range(len(images))).mean() for images in (real, fake))
        return {"shift": QualityMeasure(float(first - second), real=0.0), "size": float(len(fake))}


class SoundAttack:
    """Minus the denoising loss."""

    uses = ("denoising_loss",)

    def score(self, target, images):
        def work(x, noise):
            return -target.generator.denoising_loss(x, torch.full((len(x),), 9), noise)

        return target.each(images, work)


class SoundProtocol:
    """Counts the training images that are nearer to a synthetic than any to a validation image."""

    def __call__(self, similarities, levels):
        flagged = similarities.train_synthetic > similarities.train_validation.max()
        measure = Measure(
            float(flagged.mean()),
            "training images with a copy",
            "training",
            count=int(flagged.sum()),
            of=len(flagged),
        )
        return ProtocolTable({"above": measure}, {"training": flagged})


class SoundSection:
    title = "Cell"
    pages = ("bench", "audit")
    after = "pairs"

    def __call__(self, run):
        text = f"<p>{html.escape(run.result.get('cell', 'an audit'))}</p>"
        (picture,) = run.picture("training", 3)
        return SectionContent(text, (ReportFigure(picture, run.short_name("training", 3)),))


SOUND = SimpleNamespace(
    generator=SoundGenerator,
    embedder=SoundEmbedder,
    similarity=SoundSimilarity,
    mitigation=SoundMitigation,
    reader=SoundReader,
    quality=SoundMetric,
    attack=SoundAttack,
    protocol=SoundProtocol,
    report=SoundSection,
    spec=ImageSpec((4, 5)),
)


def write_grid(folder):
    """Write a file of `SoundReader` that is large enough to tell whether its voxels are read."""
    path = folder / "a.grid"
    values = " ".join(str(v / 8) for v in range(130 * 128))
    path.write_text(f"130 128\n{values}\n")
    return path


SOUND.write_grid = write_grid


@pytest.fixture(scope="session")
def sound():
    """A sound component of every kind, and small images for them."""
    return SOUND


@pytest.fixture
def spec():
    return ImageSpec((4, 5))


@pytest.fixture
def sound_generator():
    return SoundGenerator


@pytest.fixture
def sound_embedder():
    return SoundEmbedder


@pytest.fixture
def sound_similarity():
    return SoundSimilarity


@pytest.fixture
def sound_mitigation():
    return SoundMitigation


@pytest.fixture
def sound_reader():
    return SoundReader


@pytest.fixture
def grid_file(tmp_path):
    path = tmp_path / "a.grid"
    path.write_text("2 3\n1.5 2.5 3.5 4.5 5.5 6.5\n")
    return path


@pytest.fixture
def complaint():
    """Return the sentence with which a check fails, and hold it to one line."""

    def run(check, *arguments, **named):
        with pytest.raises(AssertionError) as raised:
            check(*arguments, **named)
        sentence = str(raised.value)
        assert sentence and len(sentence.splitlines()) == 1
        return sentence

    return run
