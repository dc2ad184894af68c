"""Checkpoints of the reference's own code: which of its weights is which of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from memtk.errors import UserError
from memtk_meddiff.config import MedDiffConfig
from memtk_meddiff.diffusion import FactorisedUNet
from memtk_meddiff.files import read_tensors
from memtk_meddiff.layers import frequencies
from memtk_meddiff.vqgan import VQGAN

VQGAN_PREFIX, UNET_PREFIX = "vqgan.", "denoise_fn."

VQGAN_NAMES = (
    (r"^encoder\.first\.", "encoder.conv_first.conv."),
    (r"^encoder\.levels\.(\d+)\.down\.", r"encoder.conv_blocks.\1.down.conv."),
    (r"^encoder\.levels\.(\d+)\.residual\.", r"encoder.conv_blocks.\1.res."),
    (r"^encoder\.last\.0\.", "encoder.final_block.0."),
    (r"^to_latent\.", "pre_vq_conv.conv."),
    (r"^from_latent\.", "post_vq_conv.conv."),
    (r"^decoder\.first\.0\.", "decoder.final_block.0."),
    (r"^decoder\.levels\.(\d+)\.up\.", r"decoder.conv_blocks.\1.up.convt."),
    (r"^decoder\.levels\.(\d+)\.residual([12])\.", r"decoder.conv_blocks.\1.res\2."),
    (r"^decoder\.last\.", "decoder.conv_last.conv."),
    (r"\.(res\d?)\.conv([12])\.", r".\1.conv\2.conv."),
    (r"^codebook\.codes$", "codebook.embeddings"),
    (r"^codebook\.counts$", "codebook.N"),
    (r"^codebook\.sums$", "codebook.z_avg"),
    (r"^slice_discriminator\.layers\.(\d+)\.", r"image_discriminator.model\1."),
    (r"^volume_discriminator\.layers\.(\d+)\.", r"video_discriminator.model\1."),
)

UNET_NAMES = (
    (r"^entry\.", "init_conv."),
    (r"^entry_depth\.", "init_temporal_attn."),
    (r"^bias\.table\.", "time_rel_pos_bias.relative_attention_bias."),
    (r"^time\.", "time_mlp."),
    (r"^(down|up)\.(\d+)\.first\.", r"\1s.\2.0."),
    (r"^(down|up)\.(\d+)\.second\.", r"\1s.\2.1."),
    (r"^(down|up)\.(\d+)\.slices\.(qkv|out)\.", r"\1s.\2.2.fn.fn.to_\3."),
    (r"^(down|up)\.(\d+)\.slices\.", r"\1s.\2.2."),
    (r"^(down|up)\.(\d+)\.depth\.", r"\1s.\2.3."),
    (r"^shrink\.(\d+)\.", r"downs.\1.4."),
    (r"^grow\.(\d+)\.", r"ups.\1.4."),
    (r"^middle\.first\.", "mid_block1."),
    (r"^middle\.second\.", "mid_block2."),
    (r"^middle\.slices\.", "mid_spatial_attn."),
    (r"^middle\.depth\.", "mid_temporal_attn."),
    (r"^exit\.", "final_conv.0."),
    (r"^last\.", "final_conv.1."),
    (r"\.norm\.gain$", ".fn.norm.gamma"),
    (r"\.(qkv|out)\.weight$", r".fn.fn.fn.to_\1.weight"),
    (r"\.time\.1\.", ".mlp.1."),
    (r"\.one\.conv\.", ".block1.proj."),
    (r"\.two\.conv\.", ".block2.proj."),
    (r"\.one\.norm\.", ".block1.norm."),
    (r"\.two\.norm\.", ".block2.norm."),
    (r"\.around\.", ".res_conv."),
)

NOT_NEEDED = (
    r"^perceptual_model\.|\.running_(mean|var)$|\.num_batches_tracked$|\.rotary_emb\."
    r"|^(image|video)_discriminator\."
)
"""What lies in the files besides: the perceptual network, averages of batch norms, constants."""


def load(config: MedDiffConfig, vqgan: VQGAN, unet: FactorisedUNet) -> frozenset[str]:
    """Take the weights from `vqgan_file` and `diffusion_file`, and freeze what came with them.

    A file of a diffusion model holds its VQ-GAN too, and is taken for both.

    Returns:
        The phases that need no training any more.

    Raises:
        UserError: if a file does not fit the configuration, saying what would.
    """
    trained: set[str] = set()
    if config.diffusion_file:
        path = config.diffusion_file
        tensors = read_tensors(path, config.diffusion_weights)
        within = _part(tensors, VQGAN_PREFIX)
        if not config.vqgan_file and not within:
            raise UserError(
                f"{path} holds no VQ-GAN: name the file of the one that it was trained with, "
                "vqgan_file=FILE"
            )
        _compare(path, _unet_facts(_part(tensors, UNET_PREFIX), tensors), _settings(config, unet))
        _fill(path, unet, _part(tensors, UNET_PREFIX), UNET_NAMES)
        trained.add("diffusion")
        if not config.vqgan_file:
            _fill_vqgan(path, config, vqgan, within)
            trained.add("vqgan")
    if config.vqgan_file:
        tensors = read_tensors(config.vqgan_file, "ema", "model")
        within = _part(tensors, VQGAN_PREFIX) or tensors
        _fill_vqgan(config.vqgan_file, config, vqgan, within)
        trained.add("vqgan")
    return frozenset(trained)


def _fill_vqgan(
    path: str, config: MedDiffConfig, vqgan: VQGAN, tensors: Mapping[str, Tensor]
) -> None:
    _compare(path, _vqgan_facts(tensors), _vqgan_settings(config))
    _fill(path, vqgan, tensors, VQGAN_NAMES)


def _fill(
    path: str, network: nn.Module, tensors: Mapping[str, Tensor], names: tuple[tuple[str, str], ...]
) -> None:
    """Copy the weights of a file into a network, and freeze it.

    Raises:
        UserError: if one is missing or too many, or has another shape.
    """
    rest = {key for key in tensors if not re.search(NOT_NEEDED, key)}
    for ours, own in network.state_dict().items():
        theirs = reference_name(ours, names)
        found = tensors.get(theirs)
        if found is None and ("_discriminator." in ours or ours == "steps_taken"):
            continue  # of no use any more
        if found is not None:
            found = found.reshape(own.shape) if _same_numbers(found, own) else found
        if found is None or found.shape != own.shape:
            there = "missing" if found is None else f"of the shape {tuple(found.shape)}"
            raise UserError(
                f"{path} does not fit meddiff3d as it is configured: {theirs} is {there}, "
                f"expected {tuple(own.shape)}.\nIt is no checkpoint of MedDiff's code, or of "
                "another configuration."
            )
        own.copy_(found)
        rest.discard(theirs)
    if rest:
        more = f" and {len(rest) - 1} more" * (len(rest) > 1)
        raise UserError(
            f"{path} does not fit meddiff3d as it is configured: there is no place for "
            f"{sorted(rest)[0]}{more} of its weights"
        )
    network.requires_grad_(False)


def reference_name(ours: str, names: tuple[tuple[str, str], ...]) -> str:
    """Return the name that the reference gives to one of our weights.

    >>> reference_name("encoder.levels.0.residual.conv1.bias", VQGAN_NAMES)
    'encoder.conv_blocks.0.res.conv1.conv.bias'
    >>> reference_name("down.1.depth.qkv.weight", UNET_NAMES)
    'downs.1.3.fn.fn.fn.to_qkv.weight'
    """
    for pattern, theirs in names:
        ours = re.sub(pattern, theirs, ours)
    return ours


def _same_numbers(found: Tensor, own: Tensor) -> bool:
    """Tell whether two shapes are the same but for axes of length 1 (1x1 convolutions)."""
    return [n for n in found.shape if n > 1] == [n for n in own.shape if n > 1]


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _compare(path: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Compare the settings that a file was made with, as far as its shapes tell them, with ours.

    Raises:
        UserError: naming all that differ and what to set.
    """
    wrong = {k: v for k, v in there.items() if v is not None and v != here[k]}
    if wrong:
        was = ", ".join(f"{k} = {_plain(v)} (here {_plain(here[k])})" for k, v in wrong.items())
        ways = " ".join(f"--set generator.{k}={_plain(v)}" for k, v in wrong.items() if k != LEVELS)
        way = ways or "set generator.compression to the sides of its volumes over its latents'"
        raise UserError(f"{path} was made with {was}.\nTo use it: {way}")


LEVELS = "largest compression"


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _vqgan_settings(config: MedDiffConfig) -> dict[str, Any]:
    return {
        "base_channels": config.base_channels,
        "latent_channels": config.latent_channels,
        "codes": config.codes,
        LEVELS: max(config.compression),
    }


def _vqgan_facts(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    levels = _count(tensors, r"^encoder\.conv_blocks\.(\d+)\.")
    return {
        "base_channels": _size(tensors, "encoder.conv_first.conv.weight", 0),
        "latent_channels": _size(tensors, "pre_vq_conv.conv.weight", 0),
        "codes": _size(tensors, "codebook.embeddings", 0),
        LEVELS: 2**levels if levels else None,
    }


def _settings(config: MedDiffConfig, unet: FactorisedUNet) -> dict[str, Any]:
    return {
        "unet_dim": unet.entry.out_channels,
        "unet_multiples": tuple(config.unet_multiples),
        "unet_heads": config.unet_heads,
        "unet_head_channels": config.unet_head_channels,
        "latent_channels": config.latent_channels,
        "timesteps": config.timesteps,
    }


def _unet_facts(tensors: Mapping[str, Tensor], whole: Mapping[str, Tensor]) -> dict[str, Any]:
    dim = _size(tensors, "init_conv.weight", 0)
    heads = _size(tensors, "time_rel_pos_bias.relative_attention_bias.weight", 1)
    inner = _size(tensors, "init_temporal_attn.fn.fn.fn.to_out.weight", 1)
    levels = _count(tensors, r"^downs\.(\d+)\.")
    widths = [_size(tensors, f"downs.{i}.0.block1.proj.weight", 0) for i in range(levels)]
    known = dim and None not in widths
    rates = tensors.get("init_temporal_attn.fn.fn.fn.rotary_emb.freqs")
    if rates is not None and not _standard(rates):
        raise UserError("the file's rotary frequencies are not the ones meddiff3d rotates by")
    return {
        "unet_dim": dim,
        "unet_multiples": tuple(w // dim for w in widths) if known and widths else None,  # type: ignore[operator]
        "unet_heads": heads,
        "unet_head_channels": inner // heads if inner and heads else None,
        "latent_channels": _size(tensors, "init_conv.weight", 1),
        "timesteps": _size(whole, "betas", 0),
    }


def _standard(rates: Tensor) -> bool:
    return torch.allclose(rates.float(), frequencies(2 * len(rates)), rtol=1e-4)


def _size(tensors: Mapping[str, Tensor], key: str, axis: int) -> int | None:
    return tensors[key].shape[axis] if key in tensors and tensors[key].dim() > axis else None


def _count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    found = [int(match[1]) for key in tensors if (match := re.search(pattern, key))]
    return max(found) + 1 if found else 0
