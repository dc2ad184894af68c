from __future__ import annotations

import contextlib
import json
import shlex
import sys
import threading

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from memtk.bench import make_plan, read_recipe, run_bench
from memtk.cli import cli
from memtk.config import build
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk.noise import Noise
from memtk.registry import open_registry
from memtk_files.command import Command, CommandConfig

HEAD = """
import json, sys, time
import numpy as np
folder, count, seed, first, log = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
open(log, "a").write(json.dumps([count, seed, first, folder]) + chr(10))
images = np.random.default_rng(seed).random((count, 12, 10))
"""
SAVE = """
for number, image in enumerate(images):
    np.save(f"{folder}/{number:03d}.npy", image)
"""


@pytest.fixture
def made(tmp_path):
    """Make a generator of a program: `made(code, **settings)`; its calls are in `made.calls()`."""
    log = tmp_path / "calls"

    def make(code=SAVE, spec=None, **asked):
        names = ("{folder}", "{count}", "{seed}", "{first}")
        run = shlex.join([sys.executable, "-c", HEAD + code, *names, str(log)])
        settings = {"run": run, "folder": str(tmp_path / "kept"), "count": 3} | asked
        return Command(build(CommandConfig, settings, where="command"), spec or ImageSpec((12, 10)))

    make.calls = lambda: [json.loads(line) for line in log.read_text().splitlines()]
    return make


def test_an_image_is_that_of_its_place_in_its_call_prepared_as_data_are(made):
    found = made(percentiles=None).sample(Noise(5, [4, 0, 3]))
    calls = {first: seed for _, seed, first, _ in made.calls()}
    assert sorted(calls) == [0, 3] and len(set(calls.values())) == 2
    assert all(0 <= seed < 2**31 for seed in calls.values())
    for row, (first, place) in zip(found, ((3, 1), (0, 0), (3, 0)), strict=True):
        image = np.random.default_rng(calls[first]).random((3, 12, 10))[place]
        np.testing.assert_allclose(row[0].numpy(), image, atol=1e-6)
    scaled = made().sample(Noise(5, [4]))
    assert float(scaled.min()) == -1 and float(scaled.max()) == 1  # by its percentiles


def test_what_was_made_is_not_made_again_and_a_stopped_run_goes_on(made):
    first = made().sample(Noise(5, range(4)))
    assert len(made.calls()) == 2
    assert (made().sample(Noise(5, range(7)))[:4] == first).all()
    assert [call[2] for call in made.calls()] == [0, 3, 6]
    made().sample(Noise(6, [0]))  # another run
    made(SAVE + "# another command").sample(Noise(5, [0]))
    assert len(made.calls()) == 5


def test_a_failed_call_leaves_nothing_that_is_taken_for_whole(made, tmp_path):
    code = "if first: sys.exit('no GPU left\\nask for one')\n" + SAVE
    with pytest.raises(UserError, match=r"ended with 1: .*(.|\n)*ask for one(.|\n)*00001.log"):
        made(code).sample(Noise(5, range(6)))
    assert len(made.calls()) == 2
    with pytest.raises(UserError, match="ended with 1"):
        made(code).sample(Noise(5, range(6)))
    assert [call[2] for call in made.calls()] == [0, 3, 3]
    [log] = tmp_path.glob("kept/*/*/00001.log")
    assert "no GPU left" in log.read_text()


def test_a_call_that_takes_too_long_is_ended_with_all_that_it_started(made, tmp_path):
    code = f"""
import subprocess
late = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(tmp_path / "late")!r}, "w").write(str(late.pid))
late.wait()
"""
    with pytest.raises(UserError, match=r"was ended after 1.5 seconds(.|\n)*command.timeout=SEC"):
        made(code, timeout=1.5).sample(Noise(5, [0]))
    with contextlib.suppress(psutil.NoSuchProcess):
        late = psutil.Process(int((tmp_path / "late").read_text()))
        assert late.status() == psutil.STATUS_ZOMBIE or late.wait(20) is None  # of nobody's asking


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("", "wrote nothing to .* must be mounted"),
        ("images = images[:2]\n" + SAVE, r"holds 2 images, and 3 were asked .*command.count=NUM"),
        ("images = images[:, :8]\n" + SAVE, r"is 8x10 .* are 12x10(.|\n)*command.shape=12,10"),
        ("images[1, 0, 0] = np.nan\n" + SAVE, "001.npy has 1 NaN"),
        ("images[:] = 0\n" + SAVE, "000.npy is blank"),
        ("[open(folder + f'/{ n}.npy', 'w').write('x') for n in 'abc']", "a.npy"),
        ("images = np.random.default_rng(0).random((3, 12, 10))\n" + SAVE, "does it use it"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended by signal 9"),
    ],
)
def test_what_it_wrote_is_checked(made, code, message):
    with pytest.raises(UserError, match=message):
        made(code).sample(Noise(5, range(6)))


def test_values_out_of_range_are_refused_where_nothing_is_scaled(made):
    with pytest.raises(UserError, match=r"values from .* not in \[-1, 1\].*command.percentiles="):
        made("images *= 9\n" + SAVE, percentiles=None).sample(Noise(5, [0]))


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("true {seed}", "{folder} is needed"),
        ("true {folder}", "each call would make the same images"),
        ("true {folder} {sed}", r"there is no {sed}, .* Did you mean 'seed'\?"),
        ("no-such-program {folder} {seed}", "there is no program no-such-program"),
        ("true '{folder} {seed}", "No closing quotation"),
        (" ", "{folder} is needed"),
    ],
)
def test_a_command_that_cannot_work_is_refused_before_anything_is_trained(tmp_path, run, message):
    with pytest.raises(UserError, match=message):
        build(CommandConfig, {"run": run, "folder": str(tmp_path)}, where="command")


def test_no_shell_reads_the_command(made, tmp_path):
    code = SAVE + f"open({str(tmp_path / 'said')!r}, 'w').write(sys.argv[6])"
    model = made(code)
    odd = '{"n": 3} $(touch no) ; rm -r * `x` {first}'
    run = f"{model.config.run} {shlex.quote(odd)}"
    again = Command(model.config.model_copy(update={"run": run}), ImageSpec((12, 10)))
    again.sample(Noise(5, [3]))
    assert (tmp_path / "said").read_text() == odd.replace("{first}", "3")


def test_two_processes_at_once_make_a_call_once(made):
    models = [made("time.sleep(0.5)\n" + SAVE) for _ in range(2)]
    found = []
    threads = [
        threading.Thread(target=lambda m=m: found.append(m.sample(Noise(5, [1])))) for m in models
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made.calls()) == 1 and (found[0] == found[1]).all()


def test_a_bench_of_a_command_goes_on_and_its_dry_run_says_it(made, tmp_path):
    model = made(SAVE, ImageSpec((16, 16)))
    run = model.config.run.replace("12, 10", "16, 16")
    sets = ["data.source=phantom2d", "data.phantom.size=16", "data.phantom.training=8"]
    sets += ["data.phantom.validation=8", "bench.plants=0"]
    sets += [f"command.folder={tmp_path / 'kept'}", "command.count=5"]
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f"[command]\nrun = {json.dumps(run)}\n")
    asked = ["bench", "-g", "command", "--similarity", "ncc", "--preset", "smoke"]
    asked += ["--config", str(recipe), *(word for each in sets for word in ("--set", each))]
    shown = CliRunner().invoke(cli, [*asked, "--dry-run"])
    assert shown.exit_code == 0, shown.output
    text = "".join(shown.output.split())
    assert "commandruns,onceforeach5images:" in text and "'{folder}'5'{seed}''{first}'" in text
    assert not (tmp_path / "calls").exists()
    registry = open_registry()
    chosen = {"generator": ("command",), "similarity": "ncc", "preset": "smoke"}
    plan = make_plan(read_recipe(registry, chosen, config=recipe, sets=sets), registry)
    [result] = run_bench(plan, registry, out=tmp_path / "run", device="cpu").results
    assert result.checkpoints[-1].protocols["dar"]["n_copies"].of == 8 and len(made.calls()) == 2
