from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.networks.nets import DenseNet121, ResNet
from torch import nn

from memtk.config import build
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk.testing import check_embedder
from memtk_pretrained.medicalnet import MedicalNet, MedicalNetConfig
from memtk_pretrained.weights import read_weights
from memtk_pretrained.xrayvision import XrayVision, XrayVisionConfig, square

VOLUMES, PICTURES = ImageSpec((16, 24, 16)), ImageSpec((40, 32))
BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


def randomised(network, seed=0):
    """Weights such that no two layers are alike, and batch norms do something."""
    noise = torch.Generator().manual_seed(seed)
    state = network.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
            drawn = torch.randn(tensor.shape, generator=noise)
            spread = max(1, tensor[0].numel()) ** -0.5 if tensor.dim() > 1 else 0.1
            state[name] = drawn * spread + (1 if name.endswith(("var", "norm.weight")) else 0)
            if name.endswith("running_var"):
                state[name] = drawn.abs() + 0.5
    return state


def medicalnet(depth):
    """A file's content as MedicalNet publishes it, but narrow."""
    network = ResNet(
        "bottleneck" if depth == 50 else "basic",
        list(BLOCKS[depth]),
        [4, 8, 8, 12],
        n_input_channels=1,
        shortcut_type="A" if depth in (18, 34) else "B",
        bias_downsample=False,
        feed_forward=False,
    )
    state = {f"module.{name}": tensor for name, tensor in randomised(network).items()}
    return {"epoch": 3, "batch_id": 0, "state_dict": state, "optimizer": {"param_groups": []}}


@pytest.fixture
def volumes():
    return torch.rand((3, 1, *VOLUMES.shape), generator=torch.Generator().manual_seed(1)) * 2 - 1


def make(cls, path, spec):
    return cls(build(cls.Config, {"weights": str(path)}), spec).eval()


def written_out(weights, x):
    """MedicalNet's ResNet-10 in plain functions: strides 2, 2, 1, 2, 1, 1; dilations 2 and 4."""
    state = {name.removeprefix("module."): tensor for name, tensor in weights.items()}

    def norm(x, name):
        stats = (state[f"{name}.{part}"] for part in ("running_mean", "running_var"))
        return F.batch_norm(x, *stats, state[f"{name}.weight"], state[f"{name}.bias"])

    x = (x - x.mean((1, 2, 3, 4), keepdim=True)) / x.std((1, 2, 3, 4), keepdim=True)
    x = norm(F.conv3d(x, state["conv1.weight"], stride=2, padding=3), "bn1").relu()
    x = F.max_pool3d(x, 3, 2, 1)
    for layer, stride, dilation in (("1", 1, 1), ("2", 2, 1), ("3", 1, 2), ("4", 1, 4)):
        name = f"layer{layer}.0"
        y = F.conv3d(x, state[f"{name}.conv1.weight"], None, stride, dilation, dilation)
        y = norm(y, f"{name}.bn1").relu()
        y = norm(
            F.conv3d(y, state[f"{name}.conv2.weight"], None, 1, dilation, dilation), f"{name}.bn2"
        )
        if f"{name}.downsample.0.weight" in state:
            x = norm(
                F.conv3d(x, state[f"{name}.downsample.0.weight"], stride=stride),
                f"{name}.downsample.1",
            )
        x = (y + x).relu()
    return x.mean((2, 3, 4))


def test_medicalnet_computes_what_the_published_network_does(tmp_path, volumes):
    content = medicalnet(10)
    torch.save(content, tmp_path / "resnet_10_23dataset.pth")
    model = make(MedicalNet, tmp_path / "resnet_10_23dataset.pth", VOLUMES)
    with torch.no_grad():
        found = model.embed(volumes)
    assert model.phases() == () and model.width == 12
    torch.testing.assert_close(found, written_out(content["state_dict"], volumes))


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_the_depth_is_read_from_the_file(tmp_path, volumes, depth):
    torch.save(medicalnet(depth), tmp_path / "net.pth")
    model = make(MedicalNet, tmp_path / "net.pth", VOLUMES)
    counts = tuple(len(getattr(model.network, f"layer{i}")) for i in range(1, 5))
    assert counts == BLOCKS[depth] and model.width == (48 if depth == 50 else 12)
    with torch.no_grad():
        features = model.embed(volumes)
        assert features.shape == (3, model.width) and bool((features >= 0).all())
        torch.testing.assert_close(model.embed(volumes * 0.3 + 0.1), features, atol=1e-4, rtol=1e-4)


def test_the_networks_keep_the_rules_of_embedders(tmp_path, xray, monkeypatch):
    monkeypatch.setattr("memtk_pretrained.xrayvision.SIDE", 32)  # 224 takes long
    torch.save(medicalnet(10), tmp_path / "net.pth")
    check_embedder(MedicalNet, {"weights": str(tmp_path / "net.pth")}, VOLUMES)
    torch.save(xray[1], tmp_path / "xrv.pt")
    check_embedder(XrayVision, {"weights": str(tmp_path / "xrv.pt")}, PICTURES)


def test_a_file_from_before_torch_1_6_is_read(tmp_path):
    content = medicalnet(10)
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    found = read_weights(tmp_path / "old.pth")
    assert torch.equal(found["conv1.weight"], content["state_dict"]["module.conv1.weight"])


@pytest.fixture(scope="module")
def xray():
    """The weights of a DenseNet-121 by the names of TorchXRayVision."""
    network = DenseNet121(spatial_dims=2, in_channels=1, out_channels=18)
    state = {
        name.replace(".layers.", ".").replace("class_layers.out", "classifier"): tensor
        for name, tensor in randomised(network).items()
    }
    return network, state


@pytest.fixture
def published():
    """Classes of modules as torchxrayvision has them, importable while a file is written."""
    module = ModuleType("torchxrayvision.models")
    for name in ("DenseNet", "_DenseBlock"):
        cls = type(name, (nn.Module,), {"__module__": "torchxrayvision.models"})
        setattr(module, name, cls)
    sys.modules["torchxrayvision"] = ModuleType("torchxrayvision")
    sys.modules["torchxrayvision.models"] = module
    yield module
    del sys.modules["torchxrayvision.models"], sys.modules["torchxrayvision"]


def as_module(published, state):
    """A module whose state_dict is `state`."""
    root = published.DenseNet()
    for name, tensor in state.items():
        *parents, last = name.split(".")
        at = root
        for parent in parents:
            if parent not in at._modules:
                at.add_module(parent, published._DenseBlock())
            at = at._modules[parent]
        if "running" in last or "num_batches" in last:
            at.register_buffer(last, tensor)
        else:
            at.register_parameter(last, nn.Parameter(tensor))
    root.op_threshs = [0.07, np.nan]
    return root


def test_xrayvision_computes_what_monai_does_with_the_same_weights(tmp_path, xray):
    network, state = xray
    torch.save(state, tmp_path / "xrv.pt")
    model = make(XrayVision, tmp_path / "xrv.pt", PICTURES)
    x = torch.rand((2, 1, 40, 32), generator=torch.Generator().manual_seed(0)) * 2 - 1
    names = {
        n.replace(".layers.", ".").replace("class_layers.out", "classifier"): n
        for n in network.state_dict()
    }
    network.load_state_dict({names[name]: tensor for name, tensor in state.items()})
    network.class_layers.out = nn.Identity()
    with torch.no_grad():
        found = model.embed(x)
        ready = F.interpolate(x[:, :, 4:36], (224, 224), mode="bilinear", antialias=True) * 1024
        torch.testing.assert_close(found, network.eval()(ready), rtol=1e-4, atol=1e-4)
    assert found.shape == (2, 1024) and model.phases() == ()


@pytest.mark.parametrize("new", [True, False])
def test_a_whole_pickled_module_gives_its_tensors_without_its_classes(
    tmp_path, xray, published, new
):
    part = {n: t for n, t in xray[1].items() if "denseblock1.denselayer1" in n or "conv0" in n}
    torch.save(as_module(published, part), tmp_path / "a.pt", _use_new_zipfile_serialization=new)
    want = torch.load(tmp_path / "a.pt", weights_only=False).state_dict()
    del sys.modules["torchxrayvision.models"]
    try:
        found = read_weights(tmp_path / "a.pt")
    finally:
        sys.modules["torchxrayvision.models"] = published
    assert found.keys() == want.keys() == part.keys()
    assert all(torch.equal(found[name], want[name]) for name in want)


class Runs:
    """What a hostile file holds: code that is run when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("new", [True, False])
def test_nothing_in_a_file_is_run(tmp_path, new):
    torch.save(
        {"state_dict": {"conv1.weight": torch.ones(2)}, "more": Runs(tmp_path / "ran")},
        tmp_path / "evil.pt",
        _use_new_zipfile_serialization=new,
    )
    with pytest.raises(UserError, match="without running code|holds no weights"):
        read_weights(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04damaged"])
def test_a_damaged_file_is_told(tmp_path, content):
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"net\.pth is damaged"):
        read_weights(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("cls", "where"),
    [(MedicalNet, "huggingface.co/TencentMedicalNet"), (XrayVision, "mlmed/torchxrayvision")],
)
def test_a_missing_file_says_what_to_fetch_from_where(tmp_path, cls, where):
    for asked in ({}, {"weights": str(tmp_path / "none.pth")}):
        with pytest.raises(UserError, match=where) as error:
            build(cls.Config, asked, where=cls.Config.component)
        assert len(str(error.value).splitlines()) <= 3
    with pytest.raises(UserError, match="weights"):
        build(cls.Config, {"weights": 3})
    with pytest.raises(UserError, match="cannot read"):
        build(cls.Config, {"weights": str(tmp_path)})


def test_weights_of_something_else_are_refused(tmp_path):
    torch.save({"conv.weight": torch.ones(2)}, tmp_path / "other.pt")
    for cls, spec in ((MedicalNet, VOLUMES), (XrayVision, PICTURES)):
        with pytest.raises(UserError, match="holds no weights of"):
            make(cls, tmp_path / "other.pt", spec)
    content = medicalnet(10)
    del content["state_dict"]["module.layer3.0.bn2.bias"]
    torch.save(content, tmp_path / "part.pth")
    with pytest.raises(UserError, match=r"layer3\.0\.bn2\.bias is missing"):
        make(MedicalNet, tmp_path / "part.pth", VOLUMES)


def test_images_of_several_channels_are_refused(tmp_path):
    torch.save(medicalnet(10), tmp_path / "net.pth")
    with pytest.raises(UserError, match="one channel"):
        make(MedicalNet, tmp_path / "net.pth", ImageSpec((16, 16, 16), 2))
    with pytest.raises(UserError, match=r"data\.color=gray"):
        make(XrayVision, tmp_path / "net.pth", ImageSpec((32, 32), 3))


def test_a_run_knows_its_weights_again(tmp_path):
    path = tmp_path / "net.pth"
    path.write_bytes(b"one")
    config = build(MedicalNetConfig, {"weights": str(path)})
    assert build(MedicalNetConfig, config.model_dump()) == config
    path.write_bytes(b"two")
    with pytest.raises(UserError, match="not the weights they were"):
        build(MedicalNetConfig, config.model_dump())
    assert build(MedicalNetConfig, {"weights": str(path)}).digest != config.digest


def test_a_square_is_taken_from_the_middle():
    x = torch.arange(12.0).reshape(1, 1, 4, 3)
    assert torch.equal(square(x), x[:, :, :3]) and XrayVisionConfig.component == "xrayvision2d"
