"""Quality metrics that give no measure, or another one each time."""

from itertools import count

import numpy as np

from memtk.interfaces import QualityMeasure
from memtk.testing import Case


def cases(sound, folder):
    def case(value, **changes):
        call = lambda self, real, fake: {"shift": value(real)}  # noqa: E731
        broken = type("Broken", (sound.quality,), {"__call__": call, **changes})
        return Case(broken, spec=sound.spec)

    asked = count()
    return {
        "the_metric_says_what_it_compares": case(lambda real: 0.0, space="pixels"),
        "measures_have_names_and_are_finite": case(lambda real: float("nan")),
        "measures_say_which_way_is_better": case(lambda real: QualityMeasure(1.0)),
        "measuring_twice_gives_the_same": case(lambda real: float(next(asked))),
        "measuring_uses_no_global_random_state": case(lambda real: float(np.random.rand())),
        "measuring_changes_no_image": case(lambda real: float(real.x.zero_().sum())),
    }
