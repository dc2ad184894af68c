"""The options that name the images of a command, and what they mean together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from memtk.errors import UserError

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    ("--train", "train", "Training images of the generator: a manifest (CSV), a folder or a file."),
    ("--val", "val", "Images of patients whom the generator has not seen: the yardstick."),
    ("--held-out", "held_out", "Images of further such patients, to measure false alarms with."),
    ("--synthetic", "synthetic", "The images that the generator made."),
    ("--data", "data", "In place of --train and --val: one manifest that names the splits."),
)


def image_options(*, synthetic: bool) -> Callable[[Command], Command]:
    """Add the options to a command; without `synthetic`, none for synthetic images."""

    def add(command: Command) -> Command:
        for flag, name, text in reversed(_OPTIONS):
            if name != "synthetic" or synthetic:
                command = click.option(flag, name, metavar="PATH", help=text)(command)
        return command

    return add


def data_settings(
    *,
    train: str | None,
    val: str | None,
    held_out: str | None,
    data: str | None,
    synthetic: str | None = None,
) -> dict[str, str]:
    """Return the settings of `memtk.data.config.DataConfig` that the options mean.

    Raises:
        UserError: if they contradict each other, or real images are missing.
    """
    if data and (train or val):
        raise UserError("--data brings training and validation images: leave out --train and --val")
    if val and not train:
        raise UserError("--val was given without --train: name the training images too")
    if train and not val:
        raise UserError(
            "--train needs --val, images of patients whom the generator has not seen: without them "
            "nothing says which likeness is ordinary. One manifest that names the splits of all "
            "images is given with --data."
        )
    settings = {"source": train or data}
    settings |= {"validation_source": val, "held_out_source": held_out}
    settings |= {"synthetic_source": synthetic}
    return {key: value for key, value in settings.items() if value is not None}
