"""The conformance kit: checks that plugin authors run on their components.

Each `check_*` takes a class, makes it as memtk does (its defaults with the preset `smoke`, then
`config`), and raises an `AssertionError` with one sentence that says what is wrong. It passes on
whatever the component itself raises. In a test of a plugin::

    def test_my_generator_keeps_the_rules():
        check_generator(MyGenerator)
"""

from memtk.testing.embedders import check_embedder
from memtk.testing.generators import check_generator
from memtk.testing.mitigations import check_mitigation
from memtk.testing.quality import check_quality_metric
from memtk.testing.readers import check_reader
from memtk.testing.similarities import check_similarity

__all__ = [
    "check_embedder",
    "check_generator",
    "check_mitigation",
    "check_quality_metric",
    "check_reader",
    "check_similarity",
]
