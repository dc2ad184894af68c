import re
from io import StringIO

import pytest
from rich.console import Console

from memtk.components import find_component
from memtk.errors import UserError
from memtk.evaluation import dry_run
from memtk.evaluation.dry_run import add_model, image_table, model_table
from memtk.interfaces import ImageSpec
from memtk.registry import open_registry
from memtk.training.devices import open_devices


def table(name, preset, shape, images=None, **settings):
    part = find_component(open_registry(), "generator", name, settings, preset)
    shown = model_table()
    add_model(shown, name, part, ImageSpec(shape), open_devices("cpu"), images)
    console = Console(width=200, record=True, file=StringIO())
    console.print(shown)
    return console.export_text()


def test_each_phase_says_steps_epochs_memory_and_time():
    text = table("monai3d", "smoke", (16, 16, 16), 8)
    (row,) = [line for line in text.splitlines() if "│ diffusion" in line]
    assert [cell.strip() for cell in row.split("│")[2:5]] == ["diffusion", "20", "40"]
    for phase in ("autoencoder", "adversarial", "diffusion"):
        (row,) = [line for line in text.splitlines() if f"│ {phase}" in line]
        memory, time = (cell.strip() for cell in row.split("│")[6:8])
        assert memory.endswith("MB") and re.fullmatch(r"\d+ (s|min|h.*)", time)
    assert "an estimate" in text


def test_a_model_that_comes_trained_says_so():
    part = find_component(open_registry(), "generator", "monai3d", {}, "smoke")
    model = part.make(ImageSpec((16, 16, 16)))
    model.phases = lambda: ()
    shown = model_table()
    add_model(shown, "x", type("Fixed", (), {"make": lambda self, spec: model})(), None, None)
    assert shown.row_count == 1


def test_what_takes_much_memory_is_not_run_to_tell_its_time(monkeypatch):
    ran = []
    monkeypatch.setattr(dry_run, "step_seconds", lambda *args: ran.append(args) or 1.0)
    monkeypatch.setattr(dry_run, "TIMED", 0)
    text = table("monai3d", "smoke", (16, 16, 16), 8)
    assert not ran and " s │" not in text


def test_a_shape_that_the_network_cannot_take_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="The nearest shape that it takes is 16x32x16"):
        table("monai3d", "smoke", (15, 30, 17))


@pytest.mark.parametrize(("name", "shape"), [("ntxent2d", (64, 64)), ("ntxent3d", (16, 16, 16))])
@pytest.mark.parametrize("preset", ["smoke", "audit"])
def test_the_memory_of_a_copy_detector_is_told_too(name, shape, preset):
    part = find_component(open_registry(), "embedder", name, {}, preset)
    shown = model_table()
    assert add_model(shown, name, part, ImageSpec(shape), open_devices("cpu"), 8)
    (memory,), (time,) = (column.cells for column in shown.columns[-2:])
    assert memory.endswith("MB") and re.fullmatch(r"\d+ (s|min|h.*)", time)


def test_the_title_of_the_images_stands_on_one_line():
    counts = {"training": {"images": 8, "patients": 8}}
    console = Console(width=80, record=True, file=StringIO())
    console.print(image_table(ImageSpec((32, 256, 256)), counts))
    assert "images of 32 x 256 x 256, channels: 1\n" in console.export_text().replace(" \n", "\n")
