from __future__ import annotations

import base64
import re
import shutil
from html import unescape

import pytest

from memtk.errors import UserError
from memtk.report import build_report
from memtk.results import read_result, write_result
from memtk.results.verdicts import verdict


@pytest.fixture
def page(make_run, plain):
    """`page(...)` makes a run and returns the text of its report, without figures."""
    return lambda **asked: build_report(make_run(**asked)).read_text()


def test_the_verdict_stands_before_everything_else(page):
    html = page()
    body = html[html.index("<body>") :]
    verdict = body.index("Yes: do not release its images.")
    assert body.index("Has monai memorized its training images?") < verdict
    assert verdict < body.index("<table") and verdict < body.index("<img")


def test_several_generators_get_an_overview_first_and_a_section_each(finished):
    html = (finished / "report.html").read_text()
    overview = html[html.index('class="overview"') : html.index('<section class="cell')]
    assert "Memorized" in overview and "As it must be" in overview
    assert "copy rate" in overview and "to 24 of 24" in overview
    anchors = re.findall(r'href="#([^"]+)"', overview)
    assert len(anchors) == 2 and all(f'id="{anchor}"' in html for anchor in anchors)
    assert html.count('<section class="cell') == 2


def test_the_overview_says_what_now_once_and_which_generators_are_controls(make_run, plain):
    folder = make_run(cells={"monai": 0.0, "copycat": 1.0})
    path = folder / "cells/copycat/result.json"
    result = read_result(path)
    control = result.components.generator.model_copy(
        update={"name": "copycat", "plugin": "toy", "config": {"rate": 0.5}}
    )
    components = result.components.model_copy(update={"generator": control})
    write_result(path, result.model_copy(update={"components": components}))
    html = build_report(folder).read_text()
    overview = html[html.index('class="overview"') : html.index('<section class="cell')]
    assert overview.count("a control: its copy rate must be about 50%") == 1
    assert html.count("What now") == overview.count("What now") == 1
    assert (
        "Has monai memorized its training images?" in html and "--generator copycat" not in overview
    )


def test_every_number_stands_beside_its_null(finished):
    html = (finished / "report.html").read_text()
    row = html[html.index('<tr class="last">') :]
    row = re.sub(r"<[^>]+>", " ", row[: row.index("</tr>")])
    assert len(re.findall(r"[\d.]+% \[[\d.]+%\]", row)) == 7
    assert '<th scope="col">by chance</th>' in html and "<td>5%</td>" in html


@pytest.fixture
def solid(make_run):
    """The folder of a run of volumes, with its report."""
    return build_report(make_run(shape=(8, 10, 12))).parent


@pytest.mark.parametrize("run", ["finished", "solid"])
def test_the_page_names_no_patient_no_file_and_no_path(run, request):
    folder = request.getfixturevalue(run)
    data = (folder / "report.html").read_bytes()
    embedded = [base64.b64decode(b) for b in re.findall(rb"base64,([A-Za-z0-9+/=]+)", data)]
    assert len(embedded) > 30
    for part in [data, *embedded]:
        for secret in (b"PAT-", b"Doe_John", b"/home/", b".h5", b".csv", b"net.pt", b"manifest."):
            assert secret not in part
        for place in (str(folder), str(folder.parent), str(folder.resolve().parents[1])):
            assert place.encode() not in part
    assert (folder / "key").read_text().encode() not in data


def test_the_page_works_offline_and_runs_no_script(finished):
    html = (finished / "report.html").read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']?\s*(https?:)?//""", html)
    assert not re.search(r"<(script|link|iframe|object|embed)|@import|url\(", html)
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]*)"', html))
    assert "default-src 'none'" in html


def test_the_same_run_gives_the_same_bytes_wherever_it_lies(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "elsewhere")
    again = build_report(tmp_path / "elsewhere").read_bytes()
    assert again == (finished / "report.html").read_bytes()


def test_pictures_of_patients_come_with_a_warning_and_phantoms_without(make_run, plain):
    folder = make_run()
    assert "These are pictures of patients" in build_report(folder).read_text()
    path = folder / "cells/monai/result.json"
    path.write_text(path.read_text().replace('"manifest"', '"phantom2d"'))
    assert "These are pictures of patients" not in build_report(folder).read_text()


def test_a_single_checkpoint_has_no_course_to_draw(make_run):
    html = build_report(make_run(steps=(0,))).read_text()
    assert "Loss curves" in html and "Share of memorized training images" not in html


def test_without_the_images_the_numbers_are_still_reported(make_run, plain):
    folder = make_run()
    shutil.rmtree(folder / "cells/monai/synthetic")
    html = build_report(folder).read_text()
    assert "The pictures are left out" in html and "Histograms of nearest" in html
    (folder / "cells/monai/arrays.h5").unlink()
    assert "Histograms of nearest" not in build_report(folder).read_text()


def test_few_validation_patients_are_said_to_decide_nothing(page):
    html = page(count=6, cells={"independent": 0.0})
    assert "Inconclusive" in html and "none could be named at these sizes" in html
    assert "no single p-value can reach 0.05" in html


def test_a_cell_without_embedder_exposure_and_autoencoder_is_reported(make_run):
    folder = make_run(shape=(8, 8, 8))
    path = folder / "cells/monai/result.json"
    result = read_result(path)
    last = result.last.model_copy(update={"protocols": result.checkpoints[0].protocols})
    bare = {"embedder": None, "mitigations": []}
    write_result(
        path,
        result.model_copy(
            update={
                "components": result.components.model_copy(update=bare),
                "embedder_trained_on": None,
                "reconstruction": None,
                "training": {},
                "checkpoints": [last.model_copy(update={"quality": {}})],
            }
        ),
    )
    html = build_report(folder).read_text()
    assert "not tested" in html and "PSNR" not in html and "Loss curves" not in html


def test_cells_that_are_missing_are_named(make_run, plain):
    folder = make_run(cells={"monai": 0.6, "late": 0.0})
    (folder / "cells/late/result.json").unlink()
    assert "Not finished yet: late." in build_report(folder).read_text()
    (folder / "cells/monai/result.json").unlink()
    with pytest.raises(UserError, match="no cell of .* is finished"):
        build_report(folder)


def test_damaged_arrays_stop_the_report_and_leave_the_old_page(make_run, plain):
    folder = make_run()
    before = build_report(folder).read_bytes()
    path = folder / "cells/monai/arrays.h5"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match=r"arrays\.h5 is damaged"):
        build_report(folder)
    assert (folder / "report.html").read_bytes() == before


def test_names_are_escaped(page):
    html = page(cells={"m<b>onai": 0.6})
    assert "m<b>onai" not in html and "m&lt;b&gt;onai" in html


def test_pictures_keep_their_proportions_however_narrow_the_page(page):
    sizes = re.findall(r'width="(\d+)" height="(\d+)" style="aspect-ratio:(\d+)/(\d+)"', page())
    assert len(sizes) == 48 and {size[:2] == size[2:] for size in sizes} == {True}
    assert {size[:2] for size in sizes} == {("150", "100")}  # square images of 2 by 3 mm voxels


def test_all_reasons_of_a_cell_stand_in_full_below_its_answer(finished, results):
    text = unescape((finished / "report.html").read_text())
    assert "In full sentences" in text
    for result in results:
        assert all(reason in text for reason in verdict(result).reasons)
