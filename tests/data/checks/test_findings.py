import pytest

from memtk.data.checks.findings import Finding, Report, refuse
from memtk.errors import UserError

GOOD = Finding("sky is blue", "accepted", "it is")
ODD = Finding("grass is green", "note", "it is yellow", "Water it")
BAD = Finding("snow is white", "refused", "it is black", "Wait for more", ("a.png",))


def test_a_report_is_accepted_unless_a_check_refuses():
    assert Report((GOOD, ODD), {}).accepted
    assert not Report((GOOD, BAD, ODD), {}).accepted


def test_all_that_is_refused_is_raised_as_one_error_with_the_ways_out():
    refuse([GOOD, ODD])
    with pytest.raises(UserError) as caught:
        refuse([BAD, GOOD, Finding("x", "refused", "y is z"), ODD])
    assert str(caught.value) == "it is black.\nWait for more\ny is z"


def test_a_finding_without_a_way_out_is_its_text():
    assert GOOD.text() == "it is" and ODD.text() == "it is yellow.\nWater it"
