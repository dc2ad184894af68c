"""A command that says what to type where words of it are in the wrong place."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from memtk.errors import did_you_mean, printable

IMAGES = {"train": "T", "val": "V", "synthetic": "S"}
"""The options that name images, in the order in which people give folders without them."""


_LIKE_AN_OPTION = re.compile("-[A-Za-z]|--[a-z][a-z-]*")


class Command(click.Command):
    """Refuses an option in the place of a value, and words that belong to options."""

    def __init__(self, *args: Any, **asked: Any) -> None:
        super().__init__(*args, **asked)
        self.allow_extra_args = True  # so that what is wrong is said here

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words, and see that each is in its place."""
        self._refuse_swallowed(ctx, args)
        words = super().parse_args(ctx, list(args))
        if words and not ctx.resilient_parsing:
            ctx.fail(printable(self._way_out(ctx, words)))
        return words

    def _refuse_swallowed(self, ctx: click.Context, args: list[str]) -> None:
        """Refuse an option that would be taken for the value of the one before it."""
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        takes = {flag: p for p in options if not (p.is_flag or p.count) for flag in p.opts}
        known = {flag for p in options for flag in (*p.opts, *p.secondary_opts)}
        told = args[: args.index("--")] if "--" in args else args
        for before, word in pairwise(told):
            name = word.partition("=")[0]
            if before in takes and (name in known or _LIKE_AN_OPTION.fullmatch(name)):
                guess = "" if name in known else did_you_mean(name, known)
                ctx.fail(
                    printable(
                        f"{before} takes {takes[before].make_metavar(ctx)}, and after it stands "
                        f"{word}, an option.{guess} Give {before} its value, or leave it out"
                    )
                )

    def _way_out(self, ctx: click.Context, extra: list[str]) -> str:
        """Return what to type in place of words that the command doesn't take."""
        places = [p for p in self.params if isinstance(p, click.Argument)]
        taken = [str(ctx.params[p.name]) for p in places if p.name and ctx.params.get(p.name)]
        options = {p.name for p in self.params if isinstance(p, click.Option)}
        if "train" in options:
            return f"{ctx.command_path} takes images by options: {_images(ctx, [*taken, *extra])}"
        if "generator" in options:
            ways = " ".join(
                f"{'--data' if _is_path(word) else '--generator'} {shlex.quote(word)}"
                for word in extra
            )
            return f"{ctx.command_path} takes models and images by options: {ways}"
        shown = " ".join(p.make_metavar(ctx) for p in places)
        return (
            f"{ctx.command_path} takes {f'{shown} and options' if shown else 'options alone'}; "
            f"more was given: {shlex.join(extra)}\nA name with spaces goes in quotes"
        )


class Group(click.Group):
    """A group of such commands, which names them where another is asked for."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            names = sorted(self.commands)
            guess = did_you_mean(args[0], names) or f" There are: {', '.join(names)}"
            ctx.fail(printable(f"No such command {args[0]!r}.{guess}"))
        return super().resolve_command(ctx, args)


def _images(ctx: click.Context, words: list[str]) -> str:
    """Return words as values of the options that name images and have none yet."""
    free = [name for name in IMAGES if ctx.params.get(name, "") is None]
    both = {"train", "val"} <= {*free} and ctx.params.get("data", "") is None
    if both and len(words) == len(free) - 1:
        free = ["data", *free[2:]]
    values = dict.fromkeys(free, "") | dict(zip(free, map(shlex.quote, words), strict=False))
    if len(words) > len(free):
        values = dict.fromkeys(free, "")
    return " ".join(f"--{name} {value or IMAGES.get(name, '')}" for name, value in values.items())


def _is_path(word: str) -> bool:
    return any(mark in word for mark in "./\\") or Path(word).exists()
