"""The house rules that no linter knows: who may import whom, and what is done nowhere."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "memtk").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))

LAYERS = (
    {"api", "cli", "worker", "__main__"},
    {"leaderboard", "skeleton", "study", "testing"},
    {"auditing", "bench", "reviewing"},
    {"evaluation"},
    {"training", "memorization", "results", "report"},
    {"components", "data", "imaging", "noise", "interfaces", "suites"},
    {"registry", "config", "plugins", "intervals", "progress"},
    {"hookspecs", "component", "errors", "events", "files", "folders", "console", "outputs"}
    | {"hdf5", "prefetch", "interpreter", "surroundings"},
)
"""From the top down: each part may import the parts of the layers below its own."""

SIBLINGS = {
    "__main__": {"cli"},
    "report": {"results", "memorization"},
    "components": {"interfaces"},
    "data": {"imaging", "noise", "interfaces"},
    "imaging": {"noise", "interfaces"},
    "interfaces": {"noise"},
    "registry": {"plugins"},
    "progress": {"plugins"},
    "hookspecs": {"component", "events"},
    "files": {"errors", "events", "surroundings"},
    "folders": {"errors", "files", "surroundings"},
    "console": {"errors"},
    "outputs": {"errors", "surroundings"},
    "interpreter": {"errors"},
    "prefetch": {"errors", "interpreter", "surroundings"},
    "hdf5": {"errors", "interpreter"},
}
"""What a part may import of its own layer."""

FACE = {"component", "errors", "events", "files", "hdf5", "config", "noise", "interfaces"}
FACE |= {"interpreter", "imaging", "data", "memorization", "hookspecs", "registry"}
"""What a plugin may import of memtk."""


@cache
def nodes(path):
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def imports(path):
    """Every module that a file imports, in functions too, `from a import b` as "a.b"."""
    found = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{'.' * node.level}{node.module or ''}.{a.name}" for a in node.names]
    return found


def of_memtk(path):
    return [m for m in imports(path) if m.split(".")[0].startswith("memtk")]


def offenders(paths, wrong):
    """What is wrong with each file where anything is, by its name: a test compares it with {}."""
    return {shown(path): found for path in paths if (found := wrong(path))}


def part(module):
    """The part of memtk that a module belongs to; "" for memtk's own face."""
    name = module.split(".")[1]
    return name if any(name in layer for layer in LAYERS) else ""


def allowed(name):
    level = next(i for i, layer in enumerate(LAYERS) if name in layer)
    return set().union(*LAYERS[level + 1 :], SIBLINGS.get(name, set()), {name, ""})


@cache
def called(path):
    """Every dotted name that is called in a file, with the call."""
    return [(ast.unparse(n.func), n) for n in nodes(path) if isinstance(n, ast.Call)]


def shown(path):
    return str(path.relative_to(ROOT))


def test_every_module_of_the_core_belongs_to_a_layer():
    found = {p.relative_to(ROOT / "memtk").parts[0].removesuffix(".py") for p in CORE}
    assert found - {"__init__"} <= set().union(*LAYERS)


def test_the_core_imports_no_plugin():
    assert offenders(CORE, lambda p: {m.split(".")[0] for m in of_memtk(p)} - {"memtk"}) == {}


def test_the_core_imports_downwards_only():
    def upwards(path):
        name = path.relative_to(ROOT / "memtk").parts[0].removesuffix(".py")
        below = LAYERS[-1] | {"api"} if name == "__init__" else allowed(name)  # on first use
        return {part(m) for m in of_memtk(path) if m.startswith("memtk.")} - below

    assert offenders(CORE, upwards) == {}


def test_training_is_given_images_and_writers_and_imports_nothing_of_data():
    training = [path for path in CORE if path.parent == ROOT / "memtk" / "training"]
    assert training
    assert offenders(training, lambda p: {m for m in of_memtk(p) if part(m) == "data"}) == {}


def test_a_plugin_imports_the_face_of_memtk_and_no_other_plugin():
    def others(path):
        own = path.relative_to(ROOT / "plugins").parts[0]
        return {m.split(".")[0] for m in of_memtk(path)} - {"memtk", own}

    def inside(path):
        kit = {"testing"} if path.name == "cases.py" else set()  # what `memtk plugins test` reads
        ours = [m for m in of_memtk(path) if m.startswith("memtk.")]
        return {part(m) for m in ours} - (FACE | kit | {""})

    assert offenders(PLUGINS, others) == {}
    assert offenders(PLUGINS, inside) == {}


def test_the_registration_of_a_plugin_imports_nothing_heavy():
    light = {"__future__", "collections", "memtk", "typing"}
    faces = [path for path in PLUGINS if path.name == "__init__.py"]
    assert offenders(faces, lambda p: {m.split(".")[0] for m in imports(p)} - light) == {}


def test_no_import_is_relative_and_none_reaches_for_a_private_name():
    for path in [*CORE, *PLUGINS]:
        for module in imports(path):
            last = module.rpartition(".")[2]
            assert not module.startswith("."), f"{shown(path)}: {module}"
            private = last.startswith("_") and not last.startswith("__")
            assert not (module.startswith("memtk") and private), f"{shown(path)}: {module}"


def test_results_and_registry_are_read_without_torch():
    code = "import sys, memtk.results, memtk.registry; print(['torch'] * ('torch' in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    for path in (ROOT / "memtk" / "results").rglob("*.py"):
        assert "torch" not in {m.split(".")[0] for m in imports(path)}


def test_no_file_is_longer_than_400_lines():
    for path in [*CORE, *PLUGINS, *sorted((ROOT / "tests").rglob("*.py"))]:
        lines = len(path.read_text().splitlines())
        assert lines <= 400, f"{shown(path)} has {lines} lines"


def modules():
    """The file of every module of the core and the plugins, by its dotted name."""
    found = {}
    for base, paths in ((ROOT, CORE), (ROOT / "plugins", PLUGINS)):
        for path in paths:
            name = ".".join(path.relative_to(base).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def imported_modules(path, known):
    """The modules of ours that a file imports, in functions and under TYPE_CHECKING too."""
    found = set()
    for name in imports(path):
        found.add(name if name in known else name.rpartition(".")[0])
    return found & set(known)


def test_no_files_import_each_other_in_a_circle():
    known = modules()
    waits = {name: imported_modules(path, known) - {name} for name, path in known.items()}
    for name in waits:  # a package is there before what lies in it
        waits[name] = {other for other in waits[name] if not name.startswith(f"{other}.")}
    while ready := [name for name, others in waits.items() if not others & set(waits)]:
        for name in ready:
            del waits[name]
    assert not waits, f"files that import each other: {', '.join(sorted(waits))}"


def test_no_short_file_serves_one_neighbour_alone():
    known = modules()
    for name, path in known.items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines >= 40 or path.name in {"__init__.py", "__main__.py"}:
            continue
        importers = [n for n, other in known.items() if name in imported_modules(other, known)]
        neighbours = [n for n in importers if n.rpartition(".")[0] == name.rpartition(".")[0]]
        assert len(neighbours) != 1, (
            f"{shown(path)} has {lines} lines, and {neighbours[0]} needs it"
        )


def test_every_file_is_named_for_what_it_holds():
    vague = {"util", "utils", "helper", "helpers", "common", "misc"}
    for folder in ("memtk", "plugins", "tests"):
        for path in (ROOT / folder).rglob("*"):
            words = set(path.stem.lower().split("_"))
            assert not words & vague, shown(path)


def test_a_library_neither_exits_nor_prints_nor_seeds_the_world():
    seeds = {"torch.manual_seed", "np.random.seed", "random.seed", "numpy.random.seed"}

    def forbidden(path):
        never = {"print", "exit", "quit", "os._exit"} | seeds
        if "cli" not in path.parts:
            never |= {"sys.exit", "SystemExit"}
        if path == ROOT / "memtk" / "testing" / "assertions.py":
            never -= seeds  # it looks whether others do, and puts everything back
        if path == ROOT / "plugins" / "memtk_files" / "attended.py":
            never -= {"sys.exit"}  # a program of its own, which hands on how another ended
        return never & {name for name, _ in called(path)}

    assert offenders([*CORE, *PLUGINS], forbidden) == {}


def test_files_are_untrusted():
    never = {"eval", "exec", "pickle.load", "pickle.loads", "yaml.load"}

    def trusting(path):
        found = {name for name, _ in called(path)} & never
        for name, call in called(path):
            arguments = {k.arg: ast.unparse(k.value) for k in call.keywords}
            if name == "torch.load" and arguments.get("weights_only") != "True":
                found.add(name)
            if name in {"np.load", "numpy.load"} and arguments.get("allow_pickle") not in (
                None,
                "False",
            ):
                found.add(name)
        return found

    assert offenders([*CORE, *PLUGINS], trusting) == {}


def test_every_module_of_memtk_has_a_test_that_is_named_after_it_or_its_package():
    tests = {p.stem for p in (ROOT / "tests").rglob("test_*.py")}
    folders = {p.name for p in (ROOT / "tests").iterdir() if p.is_dir()}
    for path in CORE:
        if path.parent == ROOT / "memtk" and not path.stem.startswith("__"):
            known = {"hookspecs"}  # a catalogue: tests/test_component.py reads it
            assert f"test_{path.stem}" in tests or path.stem in known, shown(path)
        elif path.parent != ROOT / "memtk":
            package = path.relative_to(ROOT / "memtk").parts[0]
            assert package in folders | {"suites"}, shown(path)


MOST_ARGUMENTS = 7

MANY_ARGUMENTS = {
    "memtk/api/audit.py: audit",  # the one call of a notebook, each argument by its name
    "memtk/memorization/copy_rate.py: copy_rate",
    "memtk/memorization/search.py: search",
    "memtk/memorization/selftest.py: score_planted",
}
"""Callables that may take more; nothing may be added."""


def public_callables(body, owner=""):
    """Functions and methods without an underscore, by name, with the number of arguments.

    Commands of click take what their options say, and are called by nobody.
    """
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_callables(node.body, f"{owner}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            marks = [ast.unparse(mark) for mark in node.decorator_list]
            command = any(".command(" in mark for mark in marks)
            if command or (node.name.startswith("_") and not node.name.startswith("__")):
                continue
            given = node.args
            count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs)
            yield f"{owner}{node.name}", count - bool(owner and "staticmethod" not in marks)


def test_no_public_callable_takes_more_than_seven_arguments():
    found = {
        f"{shown(path)}: {name}"
        for path in [*CORE, *PLUGINS]
        for name, count in public_callables(ast.parse(path.read_text(encoding="utf-8")).body)
        if count > MOST_ARGUMENTS
    }
    assert found - MANY_ARGUMENTS == set()
