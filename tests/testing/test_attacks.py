from __future__ import annotations

import pytest
import torch

from memtk.errors import UserError
from memtk.interfaces import ComponentConfig, ImageSpec
from memtk.noise import Noise
from memtk.testing import check_attack, check_report_section, run_checks
from memtk.testing.attacks import MemorizingGenerator
from memtk.testing.case import Case, smooth_images


@pytest.fixture
def memorizing(spec):
    generator = MemorizingGenerator(ComponentConfig(), spec)
    generator.learn([smooth_images(spec, 5)])
    return generator


def test_sound_attacks_and_sections_pass(sound):
    check_attack(sound.attack, spec=sound.spec)
    check_report_section(sound.report)


def test_a_memorizing_generator_gives_back_its_images_and_is_a_generator(memorizing, spec):
    assert torch.equal(memorizing.sample(Noise(0, [1, 6])), smooth_images(spec, 2)[[1, 1]])
    case = Case(MemorizingGenerator, spec=spec)
    failed = {o.check: o.why for o in run_checks(case) if o.status == "failed"}
    assert failed == {}


def test_its_noise_is_exact_on_an_image_that_it_knows_and_nothing_else_is_near(memorizing, spec):
    diffusion, x = memorizing.diffusion(), memorizing.images
    eps = Noise(0, range(5)).normal(1, *spec.shape)
    t = torch.full((5,), 4)
    found = diffusion.noise(diffusion.noised(x, eps, t), t)
    assert torch.allclose(found, eps, atol=1e-3)
    stranger = smooth_images(spec, 9)[5:6]
    loss = memorizing.denoising_loss(torch.cat([x[:1], stranger]), t[:2], Noise(0, range(2)))
    assert loss[1] > 10 * loss[0]


def test_an_attack_that_needs_another_generator_is_skipped(sound):
    class Picky(sound.attack):
        def score(self, target, images):
            raise UserError("it needs a GAN\nand more")

    class Foreign(sound.attack):
        uses = ("discriminate",)

    for attack, why in ((Picky, "it needs a GAN"), (Foreign, "no method discriminate")):
        outcomes = run_checks(
            Case(attack, spec=ImageSpec((4, 4))), ["attacking_twice_gives_the_same"]
        )
        assert [o.status for o in outcomes] == ["skipped"] and why in outcomes[0].why
