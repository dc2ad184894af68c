"""Sections of the report that give away, fetch or change something."""

import json
from itertools import count

from memtk.interfaces import ReportFigure, SectionContent
from memtk.testing import Case


def cases(sound, folder):
    def case(**changes):
        return Case(type("Broken", (sound.report,), changes))

    def body(write):
        return case(__call__=lambda self, run: write(run.result))

    def dumped(result):
        return f"<pre>{json.dumps(result)}</pre>".replace("<script>", "")

    def emptied(result):
        result.clear()
        return "<p></p>"

    asked = count()
    return {
        "title_is_a_line": case(title=""),
        "sections_are_html_or_none": body(lambda result: "<p><b>Cell</p>"),
        "names_are_escaped": body(lambda result: f"<p>{result['device']['name']}</p>"),
        "place_is_known": case(after="the end"),
        "figures_can_be_embedded": body(
            lambda result: SectionContent("", (ReportFigure(b"GIF89a", "a dot"),))
        ),
        "no_file_is_named": body(dumped),
        "sections_work_offline": body(
            lambda result: '<img src="https://example.org/pixel.png" alt="">'
        ),
        "sections_are_the_same_each_time": body(lambda result: f"<p>{next(asked)}</p>"),
        "results_stay_as_they_are": body(emptied),
    }
