"""Shows a run's events: bars with losses and time left on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import rich.progress
from rich.console import Console
from rich.text import Text

from memtk.console import column
from memtk.errors import Stopped, one_line, printable
from memtk.events import Event
from memtk.outputs import shielded
from memtk.plugins import Host


class Bar:
    """A bar with columns of its own, shown while it is entered; nothing where there is no terminal.

    Args:
        columns: texts of rich, beside the bar and its count.
    """

    def __init__(self, console: Console, *columns: rich.progress.ProgressColumn) -> None:
        self.console = console
        self._task: rich.progress.TaskID | None = None
        self._bar = rich.progress.Progress(
            column("{task.description}"),
            rich.progress.BarColumn(bar_width=24),
            rich.progress.MofNCompleteColumn(),
            *columns,
            console=console,
            transient=True,
        )

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:
            self._bar.stop()

    def _say(self, text: str, style: str = "") -> None:
        # Text, not markup: a name with brackets in it must come out as it is.
        self.console.print(Text(text, style=style), soft_wrap=True)


class Progress(Bar):
    """Watches a run, and lets plugins watch it too. A context manager.

    Args:
        host: the hook `memtk_run_event` of its plugins is called for each event. One that fails is
            named once and not called again; the others go on.
        every: seconds between two lines of one stage where there is no terminal.
    """

    def __init__(self, console: Console, host: Host, every: float = 30.0) -> None:
        left = rich.progress.TimeRemainingColumn(elapsed_when_finished=True)
        super().__init__(console, left, column("{task.fields[values]}", "dim"))
        self._plugins = {plugin.name: plugin for plugin in host.plugins}
        self._watchers = _watchers(host)
        self._every = every
        self._started: dict[str, float] = {}
        self._shown = 0.0

    def __call__(self, event: Event) -> None:
        """Show one event. The right method is found by its kind."""
        {
            "start": self._start,
            "step": self._step,
            "end": self._end,
            "skip": self._skip,
            "note": self._note,
        }[event.kind](event)
        for name, watcher in list(self._watchers.items()):
            try:
                with shielded():
                    watcher(event=event)
            except Stopped:
                raise
            except BaseException as error:
                del self._watchers[name]
                of = self._plugins[name]
                self._say(
                    f"warning: plugin {name!r} of {of.distribution} {of.version}: memtk_run_event "
                    f"failed and is not called again: {one_line(error)}. "
                    f"MEMTK_DISABLE_PLUGINS={name} leaves the plugin out.",
                    "yellow",
                )

    def _start(self, event: Event) -> None:
        now = time.monotonic()
        self._started[event.stage], self._shown = now, now
        if self.console.is_terminal:
            if self._task is not None:
                self._bar.remove_task(self._task)
            total = event.total or None
            self._task = self._bar.add_task(printable(event.stage), total=total, values="")
            self._bar.update(self._task, completed=event.step)

    def _step(self, event: Event) -> None:
        values = "  ".join(f"{name} {value:.4g}" for name, value in event.values.items())
        if self.console.is_terminal and self._task is not None:
            self._bar.update(self._task, completed=event.step, values=values)
            return
        now = time.monotonic()
        if now - self._shown >= self._every:
            self._shown = now
            spent = now - self._started.get(event.stage, now)
            left = spent / max(event.step, 1) * (event.total - event.step)
            done = f"{event.stage} {event.step}/{event.total}, {_clock(left)} left"
            self._say(f"  {done}  {values}".rstrip())

    def _end(self, event: Event) -> None:
        spent = time.monotonic() - self._started.pop(event.stage, time.monotonic())
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        values = "  ".join(f"{name} {value:.4g}" for name, value in event.values.items())
        self._say(f"✓ {event.stage} ({_clock(spent)})  {values}".rstrip(), "green")

    def _skip(self, event: Event) -> None:
        self._say(f"✓ {event.stage} (done earlier)", "dim")

    def _note(self, event: Event) -> None:
        self._say(f"note: {event.text}", "yellow")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _watchers(host: Host) -> dict[str, Callable[..., object]]:
    """Return the hook `memtk_run_event` of each plugin alone."""
    manager = host.manager
    found: dict[str, Callable[..., object]] = {}
    plugins = {i.plugin_name: i.plugin for i in manager.hook.memtk_run_event.get_hookimpls()}
    for name in plugins:
        others = [plugin for other, plugin in plugins.items() if other != name]
        found[name] = manager.subset_hook_caller("memtk_run_event", remove_plugins=others)
    return found
