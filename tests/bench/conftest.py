"""A small bench of real components, run once for all tests of this folder."""

from __future__ import annotations

import pytest

from memtk.bench import make_plan, read_recipe, run_bench

SMALL = (
    "data.phantom.training=20",
    "data.phantom.validation=20",
    "data.phantom.held_out=20",
    "monai3d.autoencoder.steps=4",
    "monai3d.diffusion.steps=4",
    "monai3d.sampling_steps=3",
    "embedder.training.steps=4",
    "bench.plants=5",
)


@pytest.fixture(scope="session")
def run_small(registry):
    """Run a smoke bench: `run_small(folder, generators, extra settings, **options)`."""

    def run(
        folder, generators=("monai3d",), sets=(), watch=lambda event: None, data=None, **options
    ):
        asked = {"generator": generators, "preset": "smoke", **options}
        given = {f"bench.{key}" for key in options}  # nothing is said twice
        small = [s for s in SMALL if not s.startswith("monai3d") or "monai3d" in generators]
        small = [] if data else [s for s in small if s.split("=")[0] not in given]
        recipe = read_recipe(registry, asked, data=data, sets=(*small, *sets))
        return run_bench(
            make_plan(recipe, registry), registry, out=folder, device="cpu", watch=watch
        )

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory, run_small):
    folder = tmp_path_factory.mktemp("runs") / "three"
    return run_small(folder, ("monai3d", "copycat", "independent"))
