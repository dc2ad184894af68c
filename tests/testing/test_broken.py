"""The tests are tested: every check fails on a component that is wrong in just that way."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from memtk.component import Component
from memtk.plugins import Plugin
from memtk.registry import Entry
from memtk.testing import CHECKS, Case, run_checks
from memtk.testing.checks import name_of, run_check
from memtk.testing.registration import SETTINGS

FOLDER = Path(__file__).parent / "broken"
NAMES = list(dict.fromkeys(name_of(check) for checks in CHECKS.values() for check in checks))

WITHOUT = {
    "embedder": {"batch_size_does_not_change_encodings"},  # a sound one has no encoder
    "quality": {name_of(check) for check in SETTINGS},  # nor has a sound metric a Config
    "attack": {name_of(check) for check in SETTINGS},
}
"""What the sound component of a kind has nothing of; that of another kind has it."""


WORDS = {
    "unknown_keys_are_refused": "Broken.Config takes an unknown key; it must refuse it",
    "config_comes_back_from_its_dump": "is not equal to what is built from its dump",
    "phases_and_turns_have_names_of_their_own": "names ['first', 'first'] are not unique",
    "phases_say_what_they_do": "phase 'third' of Broken does nothing",
    "turns_move_parameters_of_the_model": "moves a parameter outside the model",
    "no_weight_has_two_turns": "'down.weight' is moved by both turns 'down' and 'critic'",
    "every_weight_is_moved_or_frozen": "'up.weight' of Broken is moved by no turn",
    "losses_are_finite_scalars": "the loss term 'l' of turn 'down' of phase 'first' is not finite",
    "turns_reach_all_their_weights": "turn 'down' of phase 'first' never reaches 'down.bias'",
    "turns_move_their_weights": "moves none of its weights in step 1",
    "turns_leave_other_weights_alone": "turn 'down' of phase 'first' changes 'up.weight'",
    "checkpoints_load_into_a_fresh_instance": "the state_dict of Growing cannot be loaded into a",
    "it_says_which_images_it_learns_from": "learns_from is 'validation'",
    "samples_are_images": "sample gives values from 2 to 2; images lie in [-1, 1]",
    "batch_size_does_not_change_samples": "another row when it is computed alone",
    "state_dict_reproduces_samples": "gives other samples after its checkpoint was loaded into a",
    "reconstructions_are_images": "reconstruct gives the shape",
    "denoising_loss_has_one_value_an_image": "denoising_loss gives the shape ()",
    "width_is_a_number_of_values": "width is None",
    "embeddings_are_vectors_of_that_width": "embed gives the shape (4, 1), expected (4, 3)",
    "different_images_have_different_embeddings": "gives one vector for 4 different images",
    "embedding_uses_no_global_random_state": "draws from the global generator of torch",
    "state_dict_reproduces_embeddings": "gives other embeddings after its checkpoint was loaded",
    "space_is_known": "space is 'pixels', not 'embedding' or 'image'",
    "dtypes_and_shapes_are_kept": "prepare makes torch.float32 of torch.float64",
    "similarities_are_finite": "compare gives values that are not finite",
    "rows_are_prepared_one_by_one": "prepare makes another row of it alone",
    "tiles_make_the_whole": "compare gives other values in tiles than for the whole",
    "float32_is_as_near_as_it_says": "in float32, more than the",
    "pairs_give_what_compare_gives": "off what compare gives",
    "constant_rows_are_compared_or_refused": "a value that is not finite for a constant row",
    "adjust_returns_changed_settings": "adjust changes the settings it is given",
    "choose_gives_ascending_indices": "choose gives indices that are not ascending",
    "choose_draws_from_its_rng_alone": "gives other indices for the same rng",
    "choose_keeps_whole_patients": "keeps some images of patient ['a'] and not",
    "augmenting_leaves_its_input_as_it_was": "changes the images it is given in place",
    "release_gives_ascending_indices": "release gives indices outside 0 to 3",
    "suffixes_fit_the_example": "suffixes has 'grid': write it in lower case, with the dot",
    "records_are_told_apart": "records lists one image twice in a.grid",
    "reading_twice_gives_the_same_voxels": "other voxels the second time",
    "measures_have_names_and_are_finite": "= nan; expected a name and a finite number",
    "measuring_twice_gives_the_same": "other values the second time",
}
"""What is said of the broken component; of the others it is enough that their own check fails."""


@pytest.fixture(scope="module")
def broken(sound, tmp_path_factory):
    """The broken components by the name of the check that must fail on them."""
    folder = tmp_path_factory.mktemp("broken")
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        for path in sorted(FOLDER.glob("*.py")):
            spec = importlib.util.spec_from_file_location(f"broken_{path.stem}", path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            cases = module.cases(sound, folder)
            assert not found.keys() & cases.keys(), path.name
            found |= cases
        yield found


def test_every_check_has_a_broken_component_and_every_broken_component_a_check(broken):
    assert sorted(broken) == sorted(NAMES)


def test_two_checks_do_not_share_a_name():
    functions = {check for checks in CHECKS.values() for check in checks}
    assert len({name_of(check) for check in functions}) == len(functions)


@pytest.mark.parametrize("name", NAMES)
def test_a_check_fails_on_its_own_broken_component_in_one_sentence(broken, name):
    outcome = run_check(broken[name], name)
    assert outcome.status == "failed", outcome
    assert "it raises" not in outcome.why, "it fails by accident, not by its rule"
    assert WORDS.get(name, "") in outcome.why
    assert outcome.why[0].isalpha() or outcome.why[0] in "'<", outcome.why


@pytest.mark.parametrize("kind", CHECKS)
def test_every_check_passes_on_a_sound_component(sound, kind):
    record = Component("sound", "sound:Sound", "A sound one.")
    entry = Entry(kind, record, Plugin("sound", "memtk_toy", "memtk-sound", "1.0"))
    case = Case(
        getattr(sound, kind),
        spec=sound.spec,
        entry=entry,
        whole_patients=True,
        example=sound.write_grid,
    )
    assert case.kind == kind
    outcomes = run_checks(case)
    assert {o.check: o.why for o in outcomes if o.status not in ("passed", "skipped")} == {}
    skipped = {o.check for o in outcomes if o.status == "skipped"}
    assert skipped == WITHOUT.get(kind, set())
