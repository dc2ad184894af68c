"""The files of a MONAI bundle, configuration and weights, read as data. Nothing in them is run."""

from __future__ import annotations

import ast
import operator
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from memtk.config import load_json
from memtk.errors import UserError, one_line

_REFERENCE = re.compile(r"@(\w+(?:(?:::|#)\w+)*)")
MOST = 20_000
"""Values that are looked up in a file."""

_OPERATORS: dict[type, Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


class BundleConfig:
    """The tables of a bundle's JSON file.

    A value may be plain, a reference (`"@latent_channels"`), or an expression (`"$..."`). Of
    expressions, only sums, products and whole quotients of numbers, texts, lists, their items and
    references are worked out; of tables with a `_target_`, the name and the arguments are read.

    Args:
        path: the file.

    Raises:
        UserError: if it cannot be read, naming it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content = load_json(path, "a MONAI bundle has its networks in configs/inference.json")
        self._content: dict[str, Any] = content | {"bundle_root": "."}
        self._resolved = 0

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def value(self, key: str) -> Any:
        """Return the value at a key.

        Raises:
            UserError: if it is made by code, naming the key and the expression.
        """
        return self._resolve(self._content[key], key, ())

    def definitions(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Yield key, `_target_` and the unresolved arguments of each object that is defined."""
        yield from _definitions("", self._content)

    def arguments(self, key: str, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a definition, worked out.

        Raises:
            UserError: if one is made by code.
        """
        plain = {k: v for k, v in raw.items() if not (k.startswith("_") and k.endswith("_"))}
        return {k: self._resolve(v, f"{key}.{k}", ()) for k, v in plain.items()}

    def texts(self) -> Iterator[str]:
        """Yield every text in the file, expressions as they are written."""
        yield from _texts(self._content)

    def _resolve(self, value: Any, where: str, seen: tuple[str, ...]) -> Any:
        self._resolved += 1
        if self._resolved > MOST:  # references to lists of references grow beyond all measure
            raise UserError(f"{self.path}: {where} refers to more than {MOST:,} values")
        if isinstance(value, Mapping):
            if "_target_" in value:
                raise UserError(
                    f"{self.path}: {where} is an object of {value['_target_']}; a plain value is "
                    "needed, because memtk runs no code that a bundle names"
                )
            return {k: self._resolve(v, f"{where}.{k}", seen) for k, v in value.items()}
        if isinstance(value, list):
            return [self._resolve(item, where, seen) for item in value]
        if not isinstance(value, str):
            return value
        if match := _REFERENCE.fullmatch(value):
            return self._follow(match[1], where, seen)
        if value.startswith("$"):
            return self._work_out(value, where, seen)
        return value

    def _follow(self, reference: str, where: str, seen: tuple[str, ...]) -> Any:
        if reference in seen:
            raise UserError(f"{self.path}: {where} refers to itself by @{reference}")
        found: Any = self._content
        for part in re.split(r"::|#", reference):
            try:
                found = found[int(part)] if isinstance(found, list) else found[part]
            except (KeyError, IndexError, ValueError, TypeError) as error:
                raise UserError(
                    f"{self.path}: {where} refers to @{reference}, which is not there"
                ) from error
        return self._resolve(found, where, (*seen, reference))

    def _work_out(self, text: str, where: str, seen: tuple[str, ...]) -> Any:
        names: list[str] = []

        def name(match: re.Match[str]) -> str:
            names.append(match[1])
            return f"_{len(names) - 1}"

        refused = UserError(
            f"{self.path}: {where} = {text[:100]!r} is code, which memtk does not run: write the "
            "value itself into the file"
        )
        try:
            tree = ast.parse(_REFERENCE.sub(name, text[1:]).strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise refused from error

        def walk(node: ast.expr) -> Any:
            if isinstance(node, ast.Constant):
                return node.value
            if isinstance(node, (ast.List, ast.Tuple)):
                return [walk(item) for item in node.elts]
            if isinstance(node, ast.Name) and re.fullmatch(r"_\d+", node.id):
                return self._follow(names[int(node.id[1:])], where, seen)
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                return walk(node.value)[node.slice.value]
            if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
                return -walk(node.operand)
            if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
                left, right = walk(node.left), walk(node.right)
                numbers = all(isinstance(side, (int, float)) for side in (left, right))
                if numbers or isinstance(node.op, ast.Add):
                    made = _OPERATORS[type(node.op)](left, right)
                    if _is_plain(made):
                        return made
            raise refused

        try:
            return walk(tree)
        except (TypeError, ValueError, LookupError, ArithmeticError, RecursionError) as error:
            raise refused from error


def _is_plain(value: Any) -> bool:
    """Tell whether a sum or product has not grown beyond what a setting can be."""
    if isinstance(value, (list, str)):
        return len(value) <= MOST
    return not isinstance(value, int) or abs(value) < 2**63


def _definitions(prefix: str, table: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    if isinstance(table, Mapping):
        if isinstance(table.get("_target_"), str):
            yield prefix, table["_target_"], table
        for key, value in table.items():
            yield from _definitions(f"{prefix}::{key}" if prefix else str(key), value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


KEYS = {
    "autoencoder": ("load_autoencoder_path", "trained_autoencoder_path"),
    "diffusion": ("load_diffusion_path", "trained_diffusion_path"),
}
"""Where a bundle's configuration says which file has the weights; the first counts."""

USUAL = {
    "autoencoder": ("model_autoencoder.pt", "autoencoder.pt", "autoencoder.pth"),
    "diffusion": ("model.pt", "diffusion.pt", "model_diffusion.pt", "unet.pt"),
}
"""Names of the files in `models/` where it does not say."""

_WITHIN = (
    *("state_dict", "model", "network", "net", "network_state_dict", "model_state_dict"),
    *("autoencoder", "diffusion", "unet", "autoencoder_state_dict", "unet_state_dict"),
)


def find_weights(folder: Path, config: BundleConfig, role: str, asked: str | None) -> Path:
    """Return the file of the weights of a network.

    Args:
        folder: the bundle.
        config: of the bundle.
        role: "autoencoder" or "diffusion".
        asked: what the user says, below the folder or absolute; None leaves it to the bundle.

    Raises:
        UserError: if there is none, naming those that are there, or it lies outside the bundle.
    """
    setting = f"--set monai-bundle.{role}_weights=FILE"
    if asked is not None:
        path = folder / Path(asked).expanduser()
    elif key := next((key for key in KEYS[role] if key in config), None):
        said = config.value(key)
        path = folder / str(said)
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
            raise UserError(
                f"{config.path}: {key} = {said} lies outside the bundle. If that is right, "
                f"say {setting}"
            )
    else:
        usual = [folder / "models" / name for name in USUAL[role]]
        path = next((p for p in usual if p.is_file()), usual[0])
    if not path.is_file():
        models = folder / "models"
        there = sorted(p.name for p in models.iterdir() if p.is_file()) if models.is_dir() else []
        raise UserError(
            f"{path}, the weights of the {role}, is missing; models/ has "
            f"{', '.join(there[:8]) or 'no files'}.\nSay which with {setting}."
        )
    return path


def load_weights(network: nn.Module, path: Path, role: str) -> float | None:
    """Give a network its weights; return the scale factor if the file has one.

    Weights of networks from before they were a part of MONAI are converted.

    Raises:
        UserError: if the file cannot be read without running code, or does not fit.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch's unpickler stumbles over
        raise UserError(
            f"{path} is damaged, or more than weights: loading it would run code.\nWhere you trust "
            "it, write its state_dict alone with torch.save(network.state_dict(), FILE)."
        ) from error
    weights = _state_dict(content, role)
    if weights is None:
        raise UserError(f"{path} holds no state_dict of the {role}")
    try:
        _fill(network, weights)
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]] or [one_line(error)]
        raise UserError(
            f"{path} does not fit the {role} that the bundle defines: {lines[0][:200]}"
        ) from error
    scale: Any = content.get("scale_factor") if isinstance(content, Mapping) else None
    if isinstance(scale, (int, float)) or (isinstance(scale, Tensor) and scale.numel() == 1):
        return float(scale)
    return None


def _fill(network: nn.Module, weights: dict[str, Tensor]) -> None:
    own = network.state_dict()
    if set(weights) != set(own) and hasattr(network, "load_old_state_dict"):
        convert: Any = network.load_old_state_dict
        convert(dict(weights))
    else:
        network.load_state_dict(weights)


def _state_dict(content: Any, role: str) -> dict[str, Tensor] | None:
    """Find the weights in what a file holds, at most two tables deep."""
    if not isinstance(content, Mapping):
        return None
    tensors = {k: v for k, v in content.items() if isinstance(v, Tensor) and k != "scale_factor"}
    if tensors:
        return {str(k).removeprefix("module."): v for k, v in tensors.items()}
    preferred = sorted(_WITHIN, key=lambda name: not name.startswith(role))
    for name in preferred:
        if (found := _state_dict(content.get(name), role)) is not None:
            return found
    return None
