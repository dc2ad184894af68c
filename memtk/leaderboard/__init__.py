"""The leaderboard: a function of result files. Nothing here imports torch by itself."""

from memtk.leaderboard.boards import Board, make_boards
from memtk.leaderboard.collection import (
    Collection,
    Refused,
    Run,
    collect,
    collect_files,
    completed,
    recomputed,
)
from memtk.leaderboard.site import markdown, spreadsheet, write_site

__all__ = [
    "Board",
    "Collection",
    "Refused",
    "Run",
    "collect",
    "collect_files",
    "completed",
    "make_boards",
    "markdown",
    "recomputed",
    "spreadsheet",
    "write_site",
]
