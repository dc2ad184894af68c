from __future__ import annotations

import re
import subprocess
import sys

import pytest

from memtk.errors import UserError
from memtk.leaderboard import collect, write_site

ENTRIES = (("monai2d", {"copies": 3}), ("monai2d", {"seed": 1}))


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def site(write, tmp_path):
    folder = write(*ENTRIES)
    (folder / "00/report.html").write_text("a report")
    (folder / "torn").mkdir()
    (folder / "torn/result.json").write_text("{")
    return write_site(collect(folder), tmp_path / "site", with_pictures=True)


def test_every_link_of_every_page_leads_to_a_file(site):
    pages = [site, *site.parent.glob("runs/*/index.html")]
    assert len(pages) == 5
    for page in pages:
        targets = re.findall(r'href="([^"#]+)"', page.read_text())
        assert targets
        for target in targets:
            assert "://" not in target and (page.parent / target).exists(), target


def test_a_page_has_the_numbers_the_report_and_the_commands(site):
    [folder] = [path.parent for path in site.parent.glob("runs/*/report.html")]
    text = re.sub("</?span[^>]*>", "", (folder / "index.html").read_text())
    assert "memtk results rerun result.json" in text and "3 of 20" in text
    assert '<a href="report.html">' in text
    command = re.search(r"memtk bench[^<]+", text)[0]
    assert "--generator monai/monai2d" in command and "--suite phantom2d" in command
    assert "data.phantom" not in command  # or it would be another benchmark
    assert (folder / "result.json").read_text().startswith("{")


def test_a_site_has_no_picture_unless_it_is_asked_for(write, tmp_path):
    folder = write(*ENTRIES)
    (folder / "00/report.html").write_text('<img src="data:image/png;base64,iVBOR">')
    write_site(collect(folder), tmp_path / "site", with_pictures=True)
    write_site(collect(folder), tmp_path / "site")
    assert len(list((tmp_path / "site/runs").iterdir())) == 4
    for name, content in files(tmp_path / "site").items():
        assert "report" not in name and b"<img" not in content and b"report.html" not in content


def test_the_site_is_a_folder_of_valid_results(site):
    assert len(collect(site.parent).runs) == 4 and not collect(site.parent).refused


def test_refused_files_are_named(site):
    assert "1 file refused" in site.read_text() and "torn/result.json" in site.read_text()


def test_the_same_results_give_the_same_bytes_wherever_they_lie(site, write, tmp_path):
    before = files(site.parent)
    folder = tmp_path / "results"
    moved = folder.rename(tmp_path / "elsewhere")
    write_site(collect(moved), tmp_path / "again", with_pictures=True)
    assert files(tmp_path / "again") == before
    assert not any(str(tmp_path).encode() in content for content in before.values())


def test_pages_of_runs_that_are_gone_are_removed(site, write):
    folder = write(("other", {}), folder="new")
    write_site(collect(folder), site.parent)
    assert len(list(site.parent.glob("runs/*"))) == 3
    assert "monai2d" not in site.read_text()


def test_a_folder_of_other_things_is_left_alone(write, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years")
    with pytest.raises(UserError, match=r"mine is no leaderboard \(thesis\.txt is in it\)"):
        write_site(collect(write()), tmp_path / "mine")


def test_what_a_stranger_writes_is_text(write, tmp_path):
    name = '<script>alert("x")</script>'
    folder = write(("monai2d", {"quality": {name: 1.0}}), truth=False)
    page = write_site(collect(folder), tmp_path / "site")
    for path in [page, *page.parent.glob("runs/*/index.html")]:
        text = path.read_text()
        assert "<script>alert" not in text and "&lt;script&gt;alert" in text
        assert "script-src 'sha256-" in text


def test_no_result_is_no_table(tmp_path):
    from memtk.leaderboard import Collection

    page = write_site(Collection((), ()), tmp_path / "site")
    assert "No result yet" in page.read_text()


def test_the_leaderboard_needs_no_torch():
    code = (
        "import sys, memtk.leaderboard; "
        "print({'torch', 'monai', 'matplotlib', 'h5py', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
