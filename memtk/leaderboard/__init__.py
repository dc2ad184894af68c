"""The leaderboard: a function of result files. Nothing here imports torch by itself."""

from memtk.leaderboard.board import Board, make_boards
from memtk.leaderboard.collection import Collection, Refused, Run, collect, collect_files
from memtk.leaderboard.completion import completed
from memtk.leaderboard.markdown import markdown
from memtk.leaderboard.site import write_site
from memtk.leaderboard.spreadsheet import spreadsheet

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
    "spreadsheet",
    "write_site",
]
