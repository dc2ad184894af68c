"""Every shell command in the pages runs, in a small world that has the files which it names."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import sys
import textwrap
import tomllib
from itertools import takewhile
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from memtk.cli import cli

ROOT = Path(__file__).parent.parent
SPEC = importlib.util.spec_from_file_location("docs_world", ROOT / "tests/docs_world.py")
WORLD = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(WORLD)
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
    if path.parent.name != "reference"
}

PLACES = {
    "MODEL": "monai2d",
    "RUN": "runs/seed-0",
    "PLACE": "*/*/*/seed-0",
    "FILE": "medicalnet.pth",
    "runs/audit-...": "runs/audit",
    "release bad-audit": "release runs/audit",
    "runs/data-demo-1a2b3c4d": "runs/seed-0",
    "runs/data-demo-5e6f7a8b": "runs/seed-1",
    "runs/overfit/monai3d-0": "runs/seed-0",
    "runs/overfit/monai3d-1": "runs/seed-1",
    "runs/overfit/monai3d-2": "runs/seed-2",
    "hippocampus/manifest.csv": "volumes/manifest.csv",
    "/data/Task04_Hippocampus": "home/hippocampus/Task04_Hippocampus",
    "resnet50-0676ba61.pth ...": "resnet50-0676ba61.pth --data chest/manifest.csv "
    "--set data.shape=32,32 --set monai2d.perceptual_weight=0",
    "shape=32,256,256 ...": "shape=32,256,256 --data knees.csv --synthetic knees.csv",
    "weights=model_199 ...": "weights=model_199 -g copycat --data knees.csv "
    "--set data.shape=32,256,256",
}
"""What stands in the pages for a thing of the reader's own, and what it is in this world."""

VOLUMES = {"README.md", "docs/start/first-run.md"}
"""Pages on which `manifest.csv` names volumes; on the others it names pictures."""

REFUSED = {"memtk check --data chest/manifest_leaky.csv --synthetic made/": "in more than one"}
"""Commands that end with 2 in the page, and what they say."""

FEW, PHANTOMS, SELFTEST = WORLD.FEW, WORLD.PHANTOMS, WORLD.SELFTEST
SMALL = {
    "data make": " ".join(FEW),
    "bench": "--dry-run --preset smoke",
    "study": "--dry-run --preset smoke",
    "audit": "--dry-run --preset smoke",
    "selftest": SELFTEST,
}
"""What is added to a command, so that it takes a second; a preset of the page's own stays."""


SHELLS = ("", "sh", "bash", "console")
"""Languages of the fences whose lines are commands."""


def commands(text):
    """The shell commands of a page: in indented blocks, and in fences of no other language."""
    found, fence = [], None
    for line in re.sub(r" *\\\n *", " ", text).splitlines():
        if line.startswith("```"):
            fence = line[3:].strip() if fence is None else None
        elif (fence is None and re.match(r" {4}\S", line)) or fence in SHELLS:
            line = line.strip().removeprefix("$ ")
            if re.match(rf"(?:[A-Z_]+=\S* )*(?:{'|'.join(PROGRAMS)}) ", line):
                found.append(re.sub(r"\s+# .*", "", line))
    return found


def complaint(command):
    """Run a command in this folder; return what is wrong with it, "" if nothing is."""
    keys = "|".join(re.escape(key) for key in sorted(PLACES, key=len, reverse=True))
    line = re.sub(rf"(?<!\w)(?:{keys})(?!\w)", lambda found: PLACES[found[0]], command)
    words = [
        str(next(Path().glob(word), word)) if "*" in word else word for word in shlex.split(line)
    ]
    variables = list(takewhile(lambda word: re.match(r"[A-Z_]+=", word), words))
    program, *words = words[len(variables) :]
    if program not in RUN:
        return f"nothing here can run {program}"
    if program == "python":
        return run_python(words, [variable.split("=")[0] for variable in variables])
    if command in REFUSED:
        return run_memtk(words, {2}, REFUSED[command])
    return RUN[program](words)


def run_memtk(words, codes=frozenset({0}), says=""):
    if words[0] == "release" or "--embeddings" in words:  # an audit: pass, fail or inconclusive
        codes = {0, 3, 4}
    words = [*words, *shlex.split(smaller(words))]
    if "--add" in words:
        WORLD.write_labels(words[1], words[words.index("--add") + 1])
    with pytest.MonkeyPatch.context() as patch:
        if "--dry-run" in words:  # its networks need no numbers, and filling them is slow
            for name in ("uniform_", "normal_", "copy_"):
                patch.setattr(torch.Tensor, name, lambda tensor, *more, **options: tensor)
        done = CliRunner().invoke(cli, words)
    if done.exit_code in codes and says in done.output:
        return ""
    return f"exit status {done.exit_code}: {done.output[-600:]} {done.exception or ''}"


def smaller(words):
    given = words[:2] == ["study", "iterations"] and not words[2].startswith("-")
    name = " ".join(words[:2]) if words[0] == "data" else words[0]
    if name not in SMALL or given or "--embeddings" in words:
        return ""
    more = SMALL[name]
    if "--preset" in words:
        more = more.replace("--preset smoke", "")
    if {"data", "--data", "--suite", "--train"} & set(words):
        return more
    more = f"{more} {PHANTOMS}"
    if "--canaries" in words:  # ten at least, of the patients that are trained on
        more = f"{more.replace('training=6', 'training=24')} --canaries 12"
    return more


def run_python(words, variables=()):
    if words[:2] == ["-m", "venv"]:
        return "" if len(words) == 3 else f"venv takes a folder, not {words[2:]}"
    file = ROOT / words[0]
    if not (words[0].startswith("benchmarks/") and file.is_file()):
        return f"there is no {words[0]}"
    source = file.read_text()
    needed = {name: f'environ["{name}"]' for name in variables}
    needed |= {word: f'"{word}"' for word in takewhile(lambda w: w[0] != "-", words[1:])}
    needed |= {word: f'"{word}"' for word in words if word.startswith("--")}
    return ", ".join(
        f"{words[0]} has no {name}" for name, code in needed.items() if code not in source
    )


def run_make(words):
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    return "" if set(words) <= set(targets) else f"the Makefile has not all of {words}"


def run_pip(words):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    if words[:2] in (["install", "-e"], ["install", "--editable"]) and len(words) == 3:
        return install(Path(words[2]))
    if words[1] == "-c" and (ROOT / Path(words[2]).name).is_file():
        words = [words[0], *words[3:]]
    extra = re.fullmatch(r"(?:PATH/TO/)?memtk\[([a-z]+)\]", words[-1])
    known = extra is not None and extra[1] in project["optional-dependencies"]
    return "" if words[0] == "install" and len(words) == 2 and known else f"pip knows no {words}"


def install(folder):
    """Put a package on the path, with its entry points, as pip does with an editable one."""
    if not (folder / "pyproject.toml").is_file():
        return f"{folder} is no package"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(head)
    points = "".join(f"{k} = {v}\n" for k, v in project["entry-points"]["memtk"].items())
    (info / "entry_points.txt").write_text(f"[memtk]\n{points}")
    sys.path.insert(0, str(folder.resolve()))
    importlib.invalidate_caches()
    return ""


def run_torchrun(words):
    from torch.distributed.run import get_args_parser

    return launch(get_args_parser(), words)


def run_accelerate(words):
    from accelerate.commands.launch import launch_command_parser

    return launch(launch_command_parser(), words[1:]) if words[0] == "launch" else "no launch"


def launch(parser, words):
    try:
        given = parser.parse_args(words)
    except SystemExit:
        return f"the launcher does not take {words}"
    if not given.module or given.training_script != "memtk":
        return f"{given.training_script} is launched, not -m memtk"
    return run_memtk(given.training_script_args)


RUN = {
    "memtk": run_memtk,
    "python": run_python,
    "make": run_make,
    "pip": run_pip,
    "torchrun": run_torchrun,
    "accelerate": run_accelerate,
}
PROGRAMS = (*RUN, "bash", "cd", "conda", "docker", "export", "git", "python3", "sbatch", "uv")
"""What a line begins with that is a command; those that no page calls have no way to run."""


@pytest.mark.parametrize("page", PAGES)
def test_a_page_goes_on_with_the_folders_that_its_own_commands_made(page):
    made = [words for line in commands(PAGES[page]) if "--out" in (words := shlex.split(line))]
    if any(words[:2] == ["memtk", "audit"] for words in made):
        assert "runs/audit-..." not in PAGES[page]


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Leave out what takes long and decides on no command: pages, estimates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        patch.setattr("memtk.evaluation.dry_run.peak_memory", lambda model, phase: None)
        server = "memtk.reviewing.server.ReadingServer.run"
        patch.setattr(server, lambda self, ready: WORLD.read_pairs(self.page, ready))
        patch.setattr("memtk.bench.run.build_report", lambda folder, registry: folder)
        for module in ("run", "embeddings"):
            draw = f"memtk.auditing.{module}.build_audit_report"
            patch.setattr(draw, lambda folder, registry: folder)
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return WORLD.make(tmp_path_factory.mktemp("world"))


@pytest.fixture
def here(world, page, tmp_path, monkeypatch):
    """Go into a copy of the world, with `manifest.csv` and `images/` of pictures or of volumes."""
    here = tmp_path / "here"
    shutil.copytree(world, here)
    images = here / ("volumes" if page in VOLUMES else "chest")
    shutil.copytree(images, here, dirs_exist_ok=True)
    if policy := re.search(r"^    \[policy\]\n(?: {4}.+\n)+", PAGES[page], re.M):
        (here / "policy.toml").write_text(textwrap.dedent(policy[0]))
    for name, text in re.findall(r"(\w+\.toml)[^`]*```toml\n(.*?)```", PAGES[page], re.S):
        (here / name).write_text(text)
    monkeypatch.chdir(here)
    monkeypatch.setenv("MEMTK_DATA_HOME", "home")
    monkeypatch.setattr(sys, "path", [str(here / "packages"), *sys.path])
    assert [install(here / plugin) for plugin in ("example", "mine")] == ["", ""]
    before = set(sys.modules)
    yield here
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.mark.parametrize("page", [page for page, text in PAGES.items() if commands(text)])
def test_the_commands_of_a_page_run(page, here):
    said = {command: complaint(command) for command in commands(PAGES[page])}
    wrong = [f"{command}: {text}" for command, text in said.items() if text]
    assert not wrong, f"{page}: " + "\n".join(wrong)


def test_what_the_tables_here_name_is_in_the_pages():
    text = "\n".join(command for page in PAGES.values() for command in commands(page))
    for name in (*REFUSED, *PLACES):
        assert name in text, f"no page has {name}"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("memtk bnch", "No such command 'bnch'"),
        ("memtk bench --generatr monai3d", "No such option"),
        ("memtk bench -g monai3x", "monai3x"),
        ("memtk bench -g monai2d --quality fidd", "fidd"),
        ("memtk bench --set monai3d.diffusion.stepz=3000", "stepz"),
        ("memtk bench --data gone/manifest.csv", "no such file or folder"),
        ("memtk study datasize -g monai3d --sizes half", "half"),
        ("memtk audit --train train/ --val gone/ --synthetic made/", "no such file or folder"),
        ("memtk check --data chest/manifest_leaky.csv --synthetic made.npz", "exit status 2"),
        ("memtk results add gone benchmarks/results", "exit status 2"),
        ("torchrun --processes 2 -m memtk list", "does not take"),
        ("torchrun --nproc-per-node 2 -m memtk lst", "No such command 'lst'"),
        ("python benchmarks/gone.py", "there is no benchmarks/gone.py"),
        ("python benchmarks/known_truth.py --seedz 20", "has no --seedz"),
        ("python benchmarks/real_truth.py nil --splits 30", "has no nil"),
        ("DATA=... python benchmarks/real_truth.py null", "has no DATA"),
        ("make bnch", "has not all"),
        ("pip install 'memtk[privat]'", "pip knows no"),
        ("pip install -e gone", "gone is no package"),
        ("git clone somewhere", "nothing here can run git"),
    ],
)
def test_a_wrong_command_does_not_pass(command, says, world, monkeypatch):
    monkeypatch.chdir(world)
    assert says in complaint(command)


def test_commands_are_found_in_indented_blocks_and_in_fences_without_a_language():
    text = """
memtk is no command here, nor
  memtk here.

    memtk list attack     # which there are
    A=... python benchmarks/b.py --c '#1'
          memtk prints this
    [policy]

```
memtk bench \\
    --generator a
```
```python
    make bench
```
"""
    found = ["memtk list attack", "A=... python benchmarks/b.py --c '#1'"]
    assert commands(text) == [*found, "memtk bench --generator a"]
