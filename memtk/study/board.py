"""Who watches a study: told of its stages, its cells and what goes on inside them."""

from __future__ import annotations

from memtk.events import Event
from memtk.study.tasks import Task


class Board:
    """Watches nothing; a display overrides what it shows."""

    def stage(self, kind: str, total: int, finished: int, width: int) -> None:
        """Tell that tasks of a kind begin.

        Args:
            kind: "images", "detector" or "cell".
            total: of this kind.
            finished: by earlier calls.
            width: how many run at a time.
        """

    def started(self, task: Task) -> None:
        """Tell that a task was started, or handed to the cluster."""

    def inner(self, event: Event) -> None:
        """Tell of what happens inside a task of this process."""

    def ended(self, task: Task, failure: str | None, seconds: float) -> None:
        """Tell that a task ended.

        Args:
            failure: what kept it from being finished; None if nothing did.
            seconds: since it was started.
        """
