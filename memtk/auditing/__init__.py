"""An audit: may these synthetic images be released? For images from any source."""

from memtk.auditing.arrays import checked_embeddings, read_embeddings
from memtk.auditing.embeddings import EmbeddingAudit, audit_embeddings
from memtk.auditing.plan import describe_audit, make_audit_plan
from memtk.auditing.release import ReleaseOptions, release
from memtk.auditing.run import FinishedAudit, run_audit
from memtk.auditing.selftest import run_selftest

__all__ = [
    "EmbeddingAudit",
    "FinishedAudit",
    "ReleaseOptions",
    "audit_embeddings",
    "checked_embeddings",
    "describe_audit",
    "make_audit_plan",
    "read_embeddings",
    "release",
    "run_audit",
    "run_selftest",
]
