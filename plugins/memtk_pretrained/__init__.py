"""Embedders that others have trained on other people's images; their weights are local files."""

from __future__ import annotations

from collections.abc import Iterable

from memtk import Component, hookimpl


@hookimpl
def memtk_embedders() -> Iterable[Component]:
    """Bring the networks, one module each."""
    return (
        Component(
            name="medicalnet3d",
            target="memtk_pretrained.medicalnet:MedicalNet",
            summary="MedicalNet's 3D ResNet, trained on 23 sets of scans; give its file with "
            "--set medicalnet3d.weights=FILE.",
            dims=frozenset({3}),
            needs=("monai",),
            install="pip install monai",
        ),
        Component(
            name="xrayvision2d",
            target="memtk_pretrained.xrayvision:XrayVision",
            summary="TorchXRayVision's DenseNet-121, trained on chest X-rays; give its file with "
            "--set xrayvision2d.weights=FILE.",
            dims=frozenset({2}),
            needs=("monai",),
            install="pip install monai",
        ),
    )
