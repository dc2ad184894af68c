"""What a plugin gives in a bench that it may not is said in one line, which names the plugin."""

from __future__ import annotations

import pytest
from hostile.odd_plugin import FINE, MODEL, bench, one_line

from memtk.errors import PluginError, UserError

SAMPLES = {
    "none": ("None", "NoneType, not a tensor"),
    "array": ("np.zeros((8, 1, 16, 16))", "ndarray, not a tensor"),
    "complex": ("torch.zeros(len(noise), 1, 16, 16, dtype=torch.complex64)", "complex64"),
    "bytes": ("torch.zeros(len(noise), 1, 16, 16, dtype=torch.uint8)", "uint8"),
    "flat": ("torch.zeros(len(noise), 256)", "expected"),
    "nan": ("torch.full((len(noise), 1, 16, 16), torch.nan)", "not finite"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_that_are_no_images_are_refused(name, registry_with, tmp_path):
    given, says = SAMPLES[name]
    registry = registry_with("generator", MODEL.format(**FINE | {"x": given}))
    with pytest.raises(UserError, match=says) as told:
        bench(registry, tmp_path, generator=("odd-x",))
    assert "odd-x" in str(told.value)


CHANGES = {
    "choose-none": ("choose(self, patients, rng)", "None"),
    "choose-mask": ("choose(self, patients, rng)", "np.ones(len(patients), bool)"),
    "choose-list": ("choose(self, patients, rng)", "[0, 1]"),
    "choose-beyond": ("choose(self, patients, rng)", "np.array([0, 99])"),
    "choose-twice": ("choose(self, patients, rng)", "np.array([1, 1])"),
    "choose-negative": ("choose(self, patients, rng)", "np.array([-1])"),
    "choose-halves": ("choose(self, patients, rng)", "np.array([0.5])"),
    "thin-array-of-two": ("thin(self, training, validation, detector)", "np.zeros((2, 2), int)"),
    "thin-images": ("thin(self, training, validation, detector)", "training"),
    "thin-why": ("thin(self, training, validation, detector)", "Choice(np.array([1]), None)"),
    "release-none": ("release(self, synthetic)", "None"),
    "release-beyond": ("release(self, synthetic)", "np.array([99])"),
    "stop-number": ("stop(self, checkpoints)", "0"),
    "stop-beyond": ("stop(self, checkpoints)", "Choice(np.array([7]))"),
    "adjust-none": ("adjust(self, settings)", "None"),
    "adjust-key": ("adjust(self, settings)", "{'nothing': 1}"),
    "private-number": ("private(self)", "3"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_mitigation_gives_that_does_not_fit_is_named(name, registry_with, tmp_path):
    head, given = CHANGES[name]
    source = f"class X(Mitigation):\n    def {head}:\n        return {given}\n"
    with pytest.raises(PluginError) as told:
        bench(registry_with("mitigation", source), tmp_path, mitigation=("odd-x",))
    one_line(told, "mitigation 'odd-x' of plugin 'odd'", name.partition("-")[0])


BY_SCORE = {
    "teach-none": ("teach(self, synthetic, found)", "None"),
    "teach-mask": ("teach(self, synthetic, found)", "Choice(np.ones(len(synthetic), bool))"),
    "teach-why": ("teach(self, synthetic, found)", "Choice(np.array([0]), 3)"),
    "teach-beyond": ("teach(self, synthetic, found)", "Choice(np.array([99]))"),
    "screen-none": ("screen(self, synthetic, found)", "None"),
    "screen-halves": ("screen(self, synthetic, found)", "Choice(np.array([0.5]))"),
    "screen-images": ("screen(self, synthetic, found)", "synthetic"),
    "screen-twice": ("screen(self, synthetic, found)", "Choice(np.array([1, 1]))"),
}


def chosen(registry_with, tmp_path, method):
    source = f"class X(Mitigation):\n    def {method}\n"
    asked = {"similarity": "pearson", "embedder": "ntxent2d", "mitigation": ("odd-x",)}
    steps = ("embedder.training.steps=1",)
    return bench(registry_with("mitigation", source), tmp_path, steps, **asked)


@pytest.mark.parametrize("name", BY_SCORE)
def test_what_a_mitigation_gives_that_chooses_by_a_score_is_named(name, registry_with, tmp_path):
    head, given = BY_SCORE[name]
    with pytest.raises(PluginError) as told:
        chosen(registry_with, tmp_path, f"{head}:\n        return {given}")
    one_line(told, "mitigation 'odd-x' of plugin 'odd'", name.partition("-")[0])


def test_a_mitigation_cannot_write_into_what_others_choose_by(registry_with, tmp_path):
    with pytest.raises(ValueError, match="read-only"):
        chosen(
            registry_with,
            tmp_path,
            "screen(self, synthetic, found):\n        found['synthetic_train'][:] = 0",
        )


TINY = ("channels=8,8", "autoencoder.steps=2", "adversarial.steps=0", "diffusion.steps=2")


KINDS = ["None", "x.double()", "x[:1, :, :8]", "x.numpy()", "x * np.nan", "x / 0"]


@pytest.mark.parametrize("given", KINDS)
def test_augmented_images_of_another_kind_are_named(given, registry_with, tmp_path):
    source = f"class X(Mitigation):\n    def augment(self, x, noise):\n        return {given}\n"
    registry, sets = registry_with("mitigation", source), [f"monai2d.{each}" for each in TINY]
    with pytest.raises(PluginError) as told:
        bench(registry, tmp_path, sets, generator=("monai2d",), mitigation=("odd-x",))
    one_line(told, "mitigation 'odd-x' of plugin 'odd': augment gives")


SCORES = {
    "none": "None",
    "short": "np.zeros(3)",
    "texts": "np.array(['1'] * len(images))",
    "complex": "np.zeros(len(images), complex)",
    "nan": "np.full(len(images), np.nan)",
    "ragged": "[[1], [1, 2]]",
}


@pytest.mark.parametrize("name", [*SCORES, "describe"])
def test_scores_of_an_attack_that_are_none_are_named(name, registry_with, tmp_path):
    source = (
        "class X:\n    uses = ()\n    def score(self, target, images):\n        return "
        f"{SCORES.get(name, 'np.zeros(len(images))')}\n"
        "    def describe(self, target):\n"
        f"        return {3 if name == 'describe' else repr('all')}\n"
    )
    with pytest.raises(PluginError) as told:
        bench(registry_with("attack", source), tmp_path, attack=("odd-x",))
    one_line(told, "attack 'odd-x' of plugin 'odd': ", "gives what does not fit")
