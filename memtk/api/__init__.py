"""memtk from Python: what `memtk audit` and `memtk review` do, each as one function."""

from memtk.api.audit import audit
from memtk.api.result import AuditResult, Pair
from memtk.api.review import PairReading, review
from memtk.results import Policy

__all__ = ["AuditResult", "Pair", "PairReading", "Policy", "audit", "review"]
