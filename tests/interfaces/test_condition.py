"""What a conditional generator is told, and how a class embedding takes it."""

import pytest
import torch

from memtk.errors import UserError
from memtk.interfaces import (
    Condition,
    ConditionClasses,
    Phase,
    PhaseSettings,
    Trainable,
    Turn,
    check_guidance,
    guided,
    takes_condition,
)
from memtk.noise import Noise

VIEW, SEX, AGE = (
    Condition("view", ("AP", "PA")),
    Condition("sex", ("F", "M", "O")),
    Condition("age", mean=50.0, spread=10.0),
)


def test_a_value_comes_back_from_its_code():
    assert [VIEW.text(VIEW.code(word)) for word in VIEW.words] == ["AP", "PA"]
    assert AGE.code("65") == 1.5 and AGE.text(1.5) == "65"


def test_a_word_that_no_image_has_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"view = 'pa': the real images have AP, PA"):
        VIEW.code("pa")
    with pytest.raises(UserError, match="age = 'old': a number is needed"):
        AGE.code("old")


def test_every_combination_of_words_is_a_class_of_its_own():
    classes = ConditionClasses((VIEW, SEX))
    every = torch.cartesian_prod(torch.arange(2.0), torch.arange(3.0))
    assert sorted(classes(every, 6).tolist()) == list(range(6))
    assert classes.none == 6 and classes.count == 7
    assert classes(None, 2).tolist() == [6, 6]


def test_numbers_have_no_class():
    with pytest.raises(UserError, match="age holds numbers: write bands"):
        ConditionClasses((AGE,))


def test_about_the_asked_share_of_classes_is_dropped_row_by_row():
    classes = ConditionClasses((VIEW,))
    given = torch.zeros(2000, dtype=torch.int64)
    dropped = classes.dropped(given, Noise(0, range(2000)), 0.25)
    assert set(dropped.tolist()) == {0, classes.none}
    assert 0.22 < (dropped == classes.none).float().mean() < 0.28
    alone = torch.cat([classes.dropped(given[:1], Noise(0, [i]), 0.25) for i in range(20)])
    assert torch.equal(alone, dropped[:20])


def test_guidance_goes_on_from_no_condition_through_the_condition():
    asked = []

    def predict(x, t, classes):
        asked.append(classes.tolist())
        return classes.float()[:, None]

    x, told = torch.zeros(2, 1), torch.tensor([0, 1])
    assert guided(predict, x, torch.tensor(0), told, 2, 1.0).flatten().tolist() == [0, 1]
    assert asked == [[0, 1]]  # at scale 1 once
    assert guided(predict, x, torch.tensor(0), told, 2, 3.0).flatten().tolist() == [-4, -1]
    assert guided(predict, x, torch.tensor(0), told, 2, 0.0).flatten().tolist() == [2, 2]


def test_guidance_without_a_condition_is_refused():
    check_guidance(1.0, ())
    check_guidance(2.0, (VIEW,))
    with pytest.raises(UserError, match="guidance = 2 presses a condition"):
        check_guidance(2.0, ())


def test_only_a_loss_with_the_argument_is_given_the_condition():
    class Model(Trainable):
        def phases(self):
            settings = PhaseSettings(steps=1)
            turns = (Turn(name, self.parameters, getattr(self, name), 1.0) for name in "ab")
            return (Phase("p", settings, tuple(turns)),)

        def a(self, x, noise):
            return {"a": x.sum()}

        def b(self, x, noise, condition=None):
            return {"b": torch.tensor(0.0) if condition is None else condition.sum()}

    model, x, told = Model(Trainable.Config(), None), torch.ones(2, 1), torch.ones(2, 3)
    assert not takes_condition(model.a) and takes_condition(model.b)
    assert takes_condition(lambda x, *, condition: x) and not takes_condition(max)
    assert model("p", "a", x, None, told)["a"] == 2
    assert model("p", "b", x, None, told)["b"] == 6
    assert model("p", "b", x, None)["b"] == 0
