"""An audit: may these synthetic images be released? For images from any source."""

from memtk.auditing.dry_run import describe_audit
from memtk.auditing.given import audit_embeddings
from memtk.auditing.plan import AuditPlan, make_audit_plan
from memtk.auditing.release import Release, release
from memtk.auditing.run import FinishedAudit, run_audit
from memtk.auditing.selftest import FinishedSelfTest, run_selftest

__all__ = [
    "AuditPlan",
    "FinishedAudit",
    "FinishedSelfTest",
    "Release",
    "audit_embeddings",
    "describe_audit",
    "make_audit_plan",
    "release",
    "run_audit",
    "run_selftest",
]
