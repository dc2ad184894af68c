import pytest
import torch

from memtk.errors import UserError
from memtk.training import devices as module
from memtk.training.devices import open_devices


def test_one_process_is_the_main_one(devices):
    assert (devices.device.type, devices.rank, devices.world, devices.is_main) == (
        "cpu",
        0,
        1,
        True,
    )
    assert devices.collect("x") == ["x"]
    x = torch.rand(3)
    assert torch.equal(devices.total(x), x) and torch.equal(devices.gather(x), x)
    devices.wait()


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_shards_cover_all_rows_once_and_evenly(world):
    parts = [module.shard(range(10, 15), rank, world) for rank in range(world)]
    assert [i for part in parts for i in part] == list(range(10, 15))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_an_unknown_device_gets_a_suggestion():
    with pytest.raises(UserError, match="Did you mean 'cuda'"):
        open_devices("cude")


def test_a_device_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "mps"):
        with pytest.raises(UserError, match=f"device '{name}' was asked for; this machine has cpu"):
            open_devices(name)


def test_auto_takes_the_cpu_where_there_is_nothing_else(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert open_devices("auto").device.type == "cpu"


def test_a_process_that_works_on_another_device_is_told(monkeypatch, devices):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(UserError, match="device 'mps' was asked for; this process works on cpu"):
        open_devices("mps")


def test_what_accelerate_refuses_is_told(monkeypatch):
    def refuse(**_):
        raise ValueError("no such thing")

    monkeypatch.setattr(module, "Accelerator", refuse)
    with pytest.raises(UserError, match="'cpu' cannot be used: no such thing"):
        open_devices("cpu")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"avx512_bf16": True}, None),
        ({"avx512_bf16": True, "amx_bf16": True}, torch.bfloat16),
        ({"avx512_f": True}, None),
        ({}, None),
    ],
)
def test_auto_is_bfloat16_where_the_cpu_has_tiles_for_it(devices, monkeypatch, found, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert devices.precision("auto") == expected
    assert devices.precision("float32") is None
    assert devices.precision("bfloat16") == torch.bfloat16


@pytest.mark.parametrize(("version", "expected"), [((7, 5), False), ((8, 0), True)])
def test_auto_is_bfloat16_on_a_gpu_since_ampere(monkeypatch, version, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: version)
    assert module._fast_bfloat16(torch.device("cuda", 0)) is expected
    assert module._fast_bfloat16(torch.device("mps")) is False


def test_autocast_computes_in_the_dtype(devices):
    a = torch.rand(2, 2)
    with devices.autocast(torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
    with devices.autocast(None):
        assert (a @ a).dtype == torch.float32


@pytest.mark.parametrize(
    ("convolve", "shape", "kernel"),
    [
        (torch.nn.functional.conv3d, (2, 2, 2), 3),
        (torch.nn.functional.conv3d, (2, 8, 8), 3),
        (torch.nn.functional.conv3d, (4, 4, 4), 5),
        (torch.nn.functional.conv_transpose3d, (2, 4, 4), 3),
        (torch.nn.functional.conv3d, (4, 4, 4), 3),
        (torch.nn.functional.conv2d, (2, 2), 3),
    ],
)
def test_gradients_in_bfloat16_are_those_of_float32_but_for_rounding(
    devices, convolve, shape, kernel
):
    x = torch.randn(4, 16, *shape, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(16, 16, *[kernel] * len(shape), generator=torch.Generator().manual_seed(1))
    weight /= (16 * kernel ** len(shape)) ** 0.5

    def gradient(dtype):
        w = weight.clone().requires_grad_()
        with devices.autocast(dtype):
            y = convolve(x, w, padding=kernel // 2)
        y.float().square().sum().backward()
        return w.grad

    whole, junk = gradient(None), []
    for size in (1000, 10_000, 100_000) * 3:  # what it must not find in memory
        junk = [torch.full((size,), torch.nan)]
        half = gradient(torch.bfloat16)
        assert half.isfinite().all() and (half - whole).norm() < 0.03 * whole.norm()
    assert junk
