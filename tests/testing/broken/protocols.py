"""Protocols that give no table, another one each time, or change what they are given."""

from dataclasses import replace
from itertools import count

import numpy as np

from memtk.interfaces import Measure, ProtocolTable
from memtk.testing import Case


def cases(sound, folder):
    def case(call):
        made = {"__call__": lambda self, similarities, levels: call(similarities)}
        return Case(type("Broken", (sound.protocol,), made))

    def table(value, **changes):
        measure = replace(Measure(value, "a number", "training"), **changes)
        return ProtocolTable({"above": measure})

    def emptied(similarities):
        similarities.train_synthetic[:] = 0
        return table(0.0)

    asked = count()
    return {
        "tables_have_measures_by_name": case(lambda given: {"above": 0.5}),
        "shares_lie_between_0_and_1": case(lambda given: table(1.5, of=12)),
        "what_cannot_be_had_says_why": case(lambda given: table(None)),
        "flags_fit_their_sets": case(
            lambda given: replace(table(0.0), flags={"training": given.train_synthetic})
        ),
        "the_same_table_each_time": case(lambda given: table(float(next(asked)))),
        "tables_use_no_global_random_state": case(lambda given: table(float(np.random.rand()))),
        "similarities_stay_as_they_are": case(emptied),
        "only_the_copies_are_needed": case(
            lambda given: table(float(given.exposure_train_synthetic.max()))
        ),
        "flags_go_with_their_images": case(
            lambda given: replace(
                table(0.0), flags={"training": np.arange(len(given.train_synthetic)) < 3}
            )
        ),
        "more_copies_score_worse": case(
            lambda given: table(float(given.train_synthetic.mean()), better="higher")
        ),
        "doubled_training_images_change_no_share": case(
            lambda given: table(len(given.train_synthetic) / 100, of=100)
        ),
        # a fixed threshold: its null holds at one size alone
        "nulls_are_what_strangers_score": case(
            lambda given: table(float((given.synthetic_train > -4).mean()), of=40, null=0.05)
        ),
    }
