"""memtk from Python: what `memtk audit` does, for arrays, tensors and paths, as one function."""

from memtk.api.audit import audit
from memtk.api.result import AuditResult, Pair
from memtk.results import Policy

__all__ = ["AuditResult", "Pair", "Policy", "audit"]
