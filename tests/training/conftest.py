import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("toy_training.py")


@pytest.fixture(scope="session")
def toy():
    """The module of tiny models; `toy.__file__` is a script that trains one."""
    spec = importlib.util.spec_from_file_location("toy_training", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def devices():
    from memtk.training.devices import open_devices

    return open_devices("cpu")


@pytest.fixture
def images(toy):
    return toy.Tensors(toy.pictures())


@pytest.fixture
def run(devices, images, tmp_path):
    """Train with defaults: `run(model, seed=..., ...) -> Training`."""
    from memtk.training.loop import train

    def call(model, data=images, **options):
        defaults = {"seed": 1, "folder": tmp_path, "devices": devices}
        return train(model, data, **{**defaults, **options})

    return call
