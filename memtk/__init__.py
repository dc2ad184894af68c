"""memtk tells whether a generative model of medical images has memorized its patients."""

from typing import TYPE_CHECKING, Any

from memtk.component import Component
from memtk.errors import PluginError, UserError
from memtk.hookspecs import hookimpl

if TYPE_CHECKING:
    from memtk.api import audit

__version__ = "0.1.0"

__all__ = ["Component", "PluginError", "UserError", "__version__", "audit", "hookimpl"]


def __getattr__(name: str) -> Any:
    """Import the function `audit`, and torch with it, when somebody asks for it."""
    if name == "audit":
        from memtk.api import audit

        return audit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
