import pytest
from training import toy_training


@pytest.fixture(scope="session")
def toy():
    """The module of tiny models; `toy.__file__` is a script that trains one."""
    return toy_training


@pytest.fixture(scope="session")
def devices():
    from memtk.training.devices import open_devices

    return open_devices("cpu")


@pytest.fixture
def images(toy):
    return toy.Tensors(toy.pictures())


@pytest.fixture
def run(devices, images, tmp_path):
    """Train with defaults: `run(model, images, seed=..., **options) -> Training`."""
    from memtk.training.job import TrainingOptions
    from memtk.training.loop import train

    def call(model, data=images, *, seed=1, folder=tmp_path, watch=lambda event: None, **asked):
        options = TrainingOptions(**asked)
        return train(
            model, data, seed=seed, folder=folder, devices=devices, options=options, watch=watch
        )

    return call
