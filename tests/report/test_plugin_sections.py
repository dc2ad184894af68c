from __future__ import annotations

import base64
import html
import io
import re
import shutil

import pytest
from matplotlib.figure import Figure
from PIL import Image, PngImagePlugin

from memtk.interfaces import ReportFigure
from memtk.plugins import load_plugins
from memtk.registry import Registry
from memtk.report import build_audit_report, build_report
from memtk.report.plugin_sections import PluginSections, clean, embed

PLUGIN = """
    class Good:
        title = "Ages <of> patients"

        def __call__(self, run):
            return f"<p>seed {run.result['seed']} of {run.result['cell']}</p>"

    class Silent(Good):
        def __call__(self, run):
            return None

    class Broken(Good):
        def __call__(self, run):
            raise OSError("/home/hospital/secret.csv")

    class Untitled:
        def __call__(self, run):
            return "<p>never to be shown</p>"

    class Talkative(Good):
        title = "Of /home/hospital/secret.csv"

        def __call__(self, run):
            run.result["cell"] = "changed"
            return "<p>from <i title='a/b.nii'>/home/hospital/secret.csv</i><b>987654321"

    class Large(Good):
        def __call__(self, run):
            return "x" * 9_000_000

    @hookimpl
    def memtk_report_sections():
        for name in ("Broken", "Talkative", "Good", "Missing", "Silent", "Untitled", "Large"):
            yield Component(name.lower(), f"{__name__}:{name}", f"The {name}.")
"""

PLACED = """
    from memtk.interfaces import ReportFigure, SectionContent

    class Both:
        title = "What the run knows"
        pages = ("bench", "audit")
        after = "similarities"

        def __call__(self, run):
            label = "audit" if run.page == "audit" else "step-000200"
            nearest = run.arrays[label]["train_synthetic"]
            row = int(nearest.argmax())
            x = run.images["training"].read([row])
            words = [run.page, sorted(run.arrays), sorted(run.images), tuple(x.shape)]
            words += [hasattr(run.images["training"], "patients"), "config" in str(run.result)]
            (png,) = run.picture("training", row)
            name = run.short_name("training", row)
            figure = ReportFigure(png, f"training {name}", "the nearest", 150)
            return SectionContent(f"<p>knows {words}</p>", (figure,))

    class Benches:
        title = "Of benches alone"

        def __call__(self, run):
            return "<p>a bench</p>"

    @hookimpl
    def memtk_report_sections():
        for name in ("Both", "Benches"):
            yield Component(name.lower(), f"{__name__}:{name}", f"The {name}.")
"""


def registry_of(write_plugin, text):
    return Registry(load_plugins([write_plugin("extra", text)], {}))


@pytest.fixture
def registry(write_plugin):
    return registry_of(write_plugin, PLUGIN)


def titles(page):
    return [html.unescape(title) for title in re.findall("<h3[^>]*>(.*?)</h3>", page)]


def test_a_plugin_adds_a_section_to_every_cell(make_run, plain, registry):
    page = build_report(make_run(cells={"monai": 0.6, "other": 0.0}), registry).read_text()
    assert "<p>seed 3 of monai</p>" in page and "<p>seed 3 of other</p>" in page
    assert ">Ages &lt;of&gt; patients</h3>" in page


def test_a_section_that_fails_is_one_line_and_the_report_goes_on(make_run, plain, registry):
    page = build_report(make_run(), registry).read_text()
    for name in ("broken", "missing", "untitled"):
        assert page.count(f"section {name} of plugin extra failed") == 1
    assert "never to be shown" not in page
    assert "seed 3 of monai" in page and "Where this comes from" in page
    hidden = '<i title="(not shown)">(not shown)</i><b>(not shown)</b></p></div>'
    assert f"<p>from {hidden}" in page and ">(not shown)</h3>" in page
    assert "secret" not in page and "987654321" not in page and "b.nii" not in page
    assert "section large of plugin extra is too large: 9.0 MB, 8.0 MB are left" in page


def test_without_plugins_nothing_is_added():
    assert PluginSections(None).among([], lambda: None) == []


def test_a_section_knows_the_run_and_stands_where_it_says(make_run, plain, write_plugin):
    registry = registry_of(write_plugin, PLACED)
    page = html.unescape(build_report(make_run(), registry).read_text())
    shown = titles(page)
    assert shown[shown.index("What the run knows") - 1] == "How near the nearest image is"
    assert shown.index("Of benches alone") == shown.index("Where this comes from") - 1
    knows = "['bench', ['step-000100', 'step-000200'], ['synthetic', 'training', 'validation']"
    assert f"{knows}, (1, 1, 12, 12), False, True]" in page
    (name,) = re.findall(r'alt="training ([0-9a-f]{8})" style="width:150px"', page)
    assert page.count(f"training {name}") > 2  # as among the nearest pairs
    assert "Doe_John" not in page and "PAT-00417" not in page


def test_an_audit_has_the_sections_that_ask_for_audits(make_audit_run, plain, write_plugin):
    registry = registry_of(write_plugin, PLACED)
    folder = make_audit_run()
    page = html.unescape(build_audit_report(folder, registry).read_text())
    assert "Of benches alone" not in page and "failed" not in page
    shown = titles(page)
    assert shown[shown.index("What the run knows") - 1] == "How near the nearest image is"
    assert "['audit', ['audit'], ['synthetic', 'training', 'validation']" in page
    shutil.rmtree(folder / "data")
    page = build_audit_report(folder, registry).read_text()
    assert "section both of plugin extra failed" in page


def test_html_is_cleaned_of_what_runs_and_of_what_is_fetched():
    body = clean(
        '<p onclick="x()">a<script>alert(1)</script> &lt;b&gt;<img src="https://x/y.png" alt="dot">'
        '<a href="https://x">link</a><style>p {}</style><br/></i></p><meta http-equiv="refresh">'
    )
    assert body == '<p>a &lt;b&gt;<img alt="dot"><a>link</a><br></p>'


@pytest.mark.parametrize("tag", ["plaintext", "xmp", "noembed", "noframes", "body", "frameset"])
def test_html_keeps_no_element_that_takes_the_rest_of_the_page(tag):
    body = clean(f"<p>a</p><{tag}>b</{tag}><p>c</p>")
    assert tag not in body and body.startswith("<p>a</p>") and body.endswith("<p>c</p>")


@pytest.mark.parametrize(
    "attribute",
    [
        'style="background:url(http://x/y)"',
        "style=\"background:URL( 'http://x/y')\"",
        r'style="background:u\72l(http://x/y)"',
        "style=\"background:image-set('http://x/y' 1x)\"",
        'fill="url(http://x/y#a)"',
        'background="http://x/y"',
        'poster="http://x/y"',
    ],
)
def test_html_keeps_no_attribute_by_which_something_is_fetched(attribute):
    assert clean(f"<p {attribute} fill='url(#a)' title='t'>a") == (
        '<p fill="url(#a)" title="t">a</p>'
    )


@pytest.mark.parametrize("width", ['1" onload="x()', "1px;color:red", float("nan"), -5, None, True])
def test_a_figure_whose_width_is_none_is_refused(width):
    with pytest.raises(ValueError, match="width"):
        embed(ReportFigure(b"<svg></svg>", "a", "", width))


def test_a_figure_of_matplotlib_an_svg_and_a_png_are_embedded():
    figure = Figure()
    figure.subplots().set_title("ages")
    assert embed(ReportFigure(figure, "ages")).uri.startswith("data:image/svg+xml;base64,")
    assert embed(ReportFigure(b"<svg><text>ages</text></svg>", "ages")).uri.startswith("data:image")
    buffer, about = io.BytesIO(), PngImagePlugin.PngInfo()
    about.add_text("Source", "/home/hospital/secret.csv")
    Image.new("L", (3, 2)).save(buffer, "PNG", pnginfo=about)
    uri = embed(ReportFigure(buffer.getvalue(), "dots")).uri
    assert b"secret" not in base64.b64decode(uri.partition(",")[2])


def test_a_figure_that_may_name_somebody_or_is_no_picture_is_refused():
    figure = Figure()
    figure.subplots().set_title("/home/hospital/secret.csv")
    svg = b'<svg xmlns:i="x" i:docname="/home/hospital/a.svg"></svg>'
    for image in (figure, svg, b"<svg><!-- patient 123456789 --></svg>"):
        with pytest.raises(Exception, match="a file or a patient may be named"):
            embed(ReportFigure(image, "ages"))
    for image in (b"GIF89a", b"\x89PNG\r\n\x1a\nbroken", b"\xff\xfe"):
        with pytest.raises((ValueError, OSError)):
            embed(ReportFigure(image, "ages"))
