"""The conformance kit: checks that plugin authors run on their components.

In a test of a plugin, one test a check::

    @conformance(Case(MyGenerator), Case(MyReader, example=write_one))
    def test_components_keep_the_rules(check):
        check()

On the command line, for what is installed: `memtk plugins test NAME`. And as plain functions: each
`check_*` takes a class, makes it as memtk does (its defaults with the preset `smoke`, then
`config`), and raises an `AssertionError` with one sentence that says what is wrong. It passes on
whatever the component itself raises.
"""

from memtk.testing.case import Case
from memtk.testing.checks import CHECKS, Outcome, conformance, run_checks
from memtk.testing.facade import (
    check_attack,
    check_embedder,
    check_generator,
    check_mitigation,
    check_quality_metric,
    check_reader,
    check_report_section,
    check_similarity,
)

__all__ = [
    "CHECKS",
    "Case",
    "Outcome",
    "check_attack",
    "check_embedder",
    "check_generator",
    "check_mitigation",
    "check_quality_metric",
    "check_reader",
    "check_report_section",
    "check_similarity",
    "conformance",
    "run_checks",
]
