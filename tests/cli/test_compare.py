from __future__ import annotations

from click.testing import CliRunner

from memtk.cli import cli

SMALL = ("bench", "-g", "monai2d", "-g", "copycat", "--preset", "smoke", "--dry-run")
SMALL += ("--set", "data.phantom.training=8", "--set", "data.phantom.validation=8")


def run(*arguments):
    return CliRunner().invoke(cli, [*SMALL, *arguments])


def test_alternatives_are_named_side_by_side(tmp_path):
    done = run("--compare", "augment", "-c", "monai2d+smaller", "--out", str(tmp_path / "run"))
    assert done.exit_code == 0, done.output
    for cell in ("monai2d+augment", "monai2d+smaller", "copycat+augment"):
        assert cell in done.output
    assert "copycat+smaller" not in done.output


def test_a_mistyped_alternative_is_told_with_the_nearest_name():
    done = run("--compare", "monai2d+smaler")
    assert "Did you mean 'smaller'" in str(done.exception or "") + done.output
