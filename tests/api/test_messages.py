from __future__ import annotations

import pytest

from memtk import UserError
from memtk.api.audit import in_python, speaking_python


@pytest.mark.parametrize(
    ("option", "argument"),
    [
        ("Crop: --set data.shape=8,8", 'Crop: settings=["data.shape=8,8"]'),
        (
            "Resample: --set data.spacing=1,1,1; or say --set data.spacing=none",
            'Resample: settings=["data.spacing=1,1,1"]; or say settings=["data.spacing=none"]',
        ),
        ("--set 'x': write it as KEY=VALUE", 'settings=["x"]: write it as KEY=VALUE'),
        ("two sources with --train and --val", "two sources with train= and validation="),
        ("Name them: --train T --val V, or --data manifest.csv",
         'Name them: train= validation=, or train="manifest.csv"'),
        ("Use --device auto.", 'Use device="auto".'),
        ("leave out --embedder, or compare with --similarity pearson",
         'leave out embedder=, or compare with similarity="pearson"'),
        ("With --no-exposure it may", "With exposure=False it may"),
        ("(--stratify site). Or", '(settings=["data.stratify=site"]). Or'),
        ("--condition view: none; or leave --condition out",
         'settings=["data.condition=view"]: none; or leave data.condition out'),
        ("wait, or use --out", "wait, or use out="),
        ("and run the same command again, or run with --no-resume",
         "and make the same call again, or call with resume=False"),
        ("a - b -- c and 3--4", "a - b -- c and 3--4"),
    ],
)  # fmt: skip
def test_options_become_arguments(option, argument):
    assert in_python(option) == argument


def test_a_refusal_is_said_in_the_words_of_a_call():
    with pytest.raises(UserError, match=r'^say settings=\["a\.b=3"\]$'), speaking_python():
        raise UserError("say --set a.b=3")
