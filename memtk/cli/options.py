"""Options that several commands have."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from memtk.errors import UserError

Command = TypeVar("Command", bound=Callable[..., Any])


class Bounded(click.FloatRange):
    """A number of a range, in which neither NaN, which nothing is beyond, nor infinity is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn a word into it."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is no finite number.", param, ctx)
        return found


QUALITY = click.option(
    "--quality",
    multiple=True,
    metavar="NAME",
    help="Measure of quality or diversity; repeatable. all: every one that is installed.",
)
DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Check everything, show the plan, train nothing."
)
DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps.")
WORKERS = click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=lambda: min(cores(), MOST),
    metavar="N",
    help="Processes that read images, where there are many, or train an audit's second detector "
    "beside the first. [default: one a core, at most 8]",
)
JSON = click.option(
    "--json",
    "json_file",
    metavar="FILE|-",
    help="Write the result as one JSON object; - prints it, and nothing else, to stdout.",
)

SEED = click.option(
    "--seed", type=int, metavar="N", help="All randomness follows from it. [default: 0]"
)
SIMILARITY = click.option(
    "--similarity", metavar="NAME", help="Likeness of two images. [default: pearson]"
)


MOST = 8
"""Processes that read images where nobody says how many: each takes a quarter of a gigabyte."""


def cores() -> int:
    """Return on how many cores this process may run."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resume_option(text: str) -> Callable[[Command], Command]:
    """Return `--resume/--no-resume` with its help."""
    return click.option("--resume/--no-resume", default=True, show_default=True, help=text)


def policy_option(default: str) -> Callable[[Command], Command]:
    """Return the option that names a policy, whose help says what holds without."""
    return click.option(
        "--policy",
        "policy_file",
        type=click.Path(path_type=Path),
        metavar="FILE.toml",
        help=f"What is tolerable; see the reference. [default: {default}]",
    )


POLICY = policy_option(
    "copies up to 5%, no exposed patient, 95% confidence, 80% of planted copies found"
)


def out_option(text: str, metavar: str | None = None) -> Callable[[Command], Command]:
    """Return `--out` with its help."""
    return click.option("--out", type=click.Path(path_type=Path), metavar=metavar, help=text)


def set_option(text: str) -> Callable[[Command], Command]:
    """Return `--set` with its help."""
    text = f"{text} Repeatable."
    return click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help=text)


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return several options as one decorator; help shows them in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


DETECTOR = together(
    click.option(
        "--embedder", "-e", metavar="NAME", help="Copy detector. [default: ntxent3d or ntxent2d]"
    ),
    click.option(
        "--weights",
        metavar="PATH",
        help="Take the embedder as trained: a checkpoint or a run folder. It must have seen none "
        "of the images.",
    ),
    SIMILARITY,
    click.option(
        "--preset", metavar="NAME", help="Size of the embedder. [default: audit, or demo]"
    ),
    click.option(
        "--plants", type=int, metavar="K", help="Patients to plant copies of. [default: 100]"
    ),
    click.option("--alpha", type=float, help="Level of a single test. [default: 0.05]"),
    SEED,
)
"""Which copy detector an audit or a self-test takes, and how it is tried."""

AUDIT_RUN = together(
    JSON,
    set_option("Any setting, e.g. data.shape=32,48,32 or embedder.training.steps=500."),
    click.option("--config", type=click.Path(path_type=Path), help="Settings in TOML."),
    out_option("Run folder. [default: runs/, by the settings]"),
    DEVICE,
    WORKERS,
    resume_option("Go on with a run of the same settings, or throw it away first."),
)
"""How an audit or a self-test is run."""

_IMAGES = (
    ("--train", "train", "Training images of the generator: a manifest (CSV), a folder or a file."),
    ("--val", "val", "Images of patients whom the generator has not seen: the yardstick."),
    ("--held-out", "held_out", "Images of further such patients, to measure false alarms with."),
    ("--synthetic", "synthetic", "The images that the generator made."),
    ("--data", "data", "In place of --train and --val: one manifest that names the splits."),
)


def image_options(*, synthetic: bool) -> Callable[[Command], Command]:
    """Return the options that name images; without `synthetic`, none for synthetic ones."""
    return together(
        *(
            click.option(flag, name, metavar="PATH", help=text)
            for flag, name, text in _IMAGES
            if synthetic or name != "synthetic"
        ),
        click.option(
            "--stratify",
            metavar="COLUMN",
            help="Compare within the groups that this column of the manifest tells apart, such as "
            "site or scanner.",
        ),
    )


def asked(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {key: value for key, value in options.items() if value not in (None, ())}


def take_images(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of `image_options` out of a command's options."""
    names = [*(name for _, name, _ in _IMAGES), "stratify", "condition"]
    return {name: options.pop(name) for name in names if name in options}


def data_settings(
    *,
    train: str | None,
    val: str | None,
    held_out: str | None,
    data: str | None,
    synthetic: str | None = None,
    stratify: str | None = None,
    condition: tuple[str, ...] = (),
) -> dict[str, Any]:
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
    settings: dict[str, Any] = {"source": train or data, "condition": condition or None}
    settings |= {"validation_source": val, "held_out_source": held_out}
    settings |= {"synthetic_source": synthetic, "stratify": stratify}
    return {key: value for key, value in settings.items() if value is not None}
