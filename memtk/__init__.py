"""memtk tells whether a generative model of medical images has memorized its patients."""

from typing import TYPE_CHECKING, Any

from memtk.component import Component
from memtk.errors import PluginError, UserError
from memtk.hookspecs import hookimpl

if TYPE_CHECKING:
    from memtk.api import AuditResult, Policy
    from memtk.api.audit import audit
    from memtk.api.metric import Memorization
    from memtk.api.review import PairReading, review

__version__ = "0.1.0"

__all__ = [
    "AuditResult",
    "Component",
    "Memorization",
    "PairReading",
    "PluginError",
    "Policy",
    "UserError",
    "__version__",
    "audit",
    "hookimpl",
    "review",
]


def __getattr__(name: str) -> Any:
    """Import what audits, and torch with it, when somebody asks for it."""
    if name in ("AuditResult", "PairReading", "Policy", "audit", "review"):
        import memtk.api

        return getattr(memtk.api, name)
    if name == "Memorization":
        from memtk.api.metric import Memorization

        return Memorization
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
