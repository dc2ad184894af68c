from __future__ import annotations

import base64

import numpy as np

from memtk.report.figures import Line, Panel, Place, Point, draw_nearest, draw_panels, draw_tradeoff


def svg(uri):
    return base64.b64decode(uri.partition(",")[2]).decode()


def panel(*points, share=True, title="memorized"):
    return Panel(title, (Line("a", 0, tuple(points)), Line("b", 1, tuple(points))), share)


POINTS = (Point(0, (0.1, 0.3), 0.05, ((0.0, 0.4),)), Point(1, (0.9,), 0.05))


def test_the_same_panels_give_the_same_figure_and_none_gives_none():
    drawn = [panel(*POINTS)]
    first = draw_panels(drawn, below="size", ticks=("1", "2"))
    assert first == draw_panels(drawn, below="size", ticks=("1", "2"))
    assert "<svg" in svg(first)
    assert draw_panels([panel()], below="size") is None


def test_points_are_joined_only_where_they_follow_one_another():
    ordered = draw_panels([panel(*POINTS)], below="", ticks=("1", "2"))
    apart = draw_panels([panel(*POINTS)], below="", ticks=("1", "2"), ordered=False)
    assert len(svg(ordered)) > len(svg(apart))


def test_a_course_has_its_null_as_a_line_and_other_scales_have_no_percent():
    course = [panel(Point(100, (0.1,), 0.05), Point(200, (0.2,), 0.06)), panel(*POINTS)]
    assert draw_panels(course, below="steps")
    plain = draw_panels([panel(Point(1, (40.0, 50.0), 3.0), share=False)], below="steps")
    assert plain and plain != draw_panels([panel(Point(1, (0.4,)))], below="steps")


def test_memorization_against_quality_needs_two_settings():
    places = [Place("off", 0, (3.0, 4.0), (0.5, 0.6)), Place("on", 1, (5.0,), (0.1,))]
    assert draw_tradeoff([("fid", places[:1], 1.0)], up="m") is None
    with_line, without = ([("fid", places, real)] for real in (1.0, None))
    assert draw_tradeoff(with_line, up="m") != draw_tradeoff(without, up="m")


def test_nearest_similarities_are_drawn_a_panel_a_setting():
    rng = np.random.default_rng(0)
    arrays = {"train_validation": rng.normal(size=30), "train_synthetic": rng.normal(size=30)}
    two = draw_nearest([("off", arrays, 0.5), ("on", arrays, 0.5)])
    assert two and draw_nearest([]) is None and two != draw_nearest([("off", arrays, 0.5)])
