from __future__ import annotations

import pytest

from memtk.plugins import load_plugins
from memtk.registry import Registry
from memtk.report import build_audit_report, build_report
from memtk.report.plugin_sections import plugin_sections

PLUGIN = """
    class Good:
        title = "Ages <of> patients"

        def __call__(self, result):
            return f"<p>seed {result['seed']} of {result['cell']}</p>"

    class Silent(Good):
        def __call__(self, result):
            return None

    class Broken(Good):
        def __call__(self, result):
            raise OSError("/home/hospital/secret.csv")

    class Untitled:
        def __call__(self, result):
            return "<p>never to be shown</p>"

    @hookimpl
    def memtk_report_sections():
        for name in ("Broken", "Good", "Missing", "Silent", "Untitled"):
            yield Component(name.lower(), f"{__name__}:{name}", f"The {name}.")
"""


AUDITS = """
    class Audits:
        title = "Outcome"
        audits = True

        def __call__(self, audit):
            return f"<p>seen: {audit['verdict']['outcome']}</p>"

    class Cells:
        title = "Cells"

        def __call__(self, result):
            return result["cell"]

    @hookimpl
    def memtk_report_sections():
        for name in ("Audits", "Cells"):
            yield Component(name.lower(), f"{__name__}:{name}", f"The {name}.")
"""


@pytest.fixture
def registry(write_plugin):
    return Registry(load_plugins([write_plugin("extra", PLUGIN)], {}))


def test_a_plugin_adds_a_section_to_every_cell(make_run, plain, registry):
    html = build_report(make_run(cells={"monai": 0.6, "other": 0.0}), registry).read_text()
    assert "<p>seed 3 of monai</p>" in html and "<p>seed 3 of other</p>" in html
    assert ">Ages &lt;of&gt; patients</h3>" in html


def test_a_section_that_fails_is_one_line_and_the_report_goes_on(make_run, plain, registry):
    html = build_report(make_run(), registry).read_text()
    for name in ("broken", "missing", "untitled"):
        assert html.count(f"section {name} of plugin extra failed") == 1
    assert "secret" not in html and "never to be shown" not in html
    assert "seed 3 of monai" in html and "Where this comes from" in html


def test_a_section_without_content_is_left_out(results, registry):
    found = plugin_sections(registry, results[0])
    assert ["failed" in s.body for s in found] == [True, False, True, True]
    assert plugin_sections(None, results[0]) == []


def test_an_audit_is_shown_to_the_sections_that_ask_for_audits(write_plugin, make_audit_run):
    registry = Registry(load_plugins([write_plugin("extra", AUDITS)], {}))
    html = build_audit_report(make_audit_run(), registry).read_text()
    assert "seen: " in html and "Cells" not in html and "failed" not in html
