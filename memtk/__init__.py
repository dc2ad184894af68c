"""memtk tells whether a generative model of medical images has memorized its patients."""

from memtk.component import Component
from memtk.errors import PluginError, UserError
from memtk.hookspecs import hookimpl

__version__ = "0.1.0"

__all__ = ["Component", "PluginError", "UserError", "__version__", "hookimpl"]
