"""An audit: may these synthetic images be released? For images from any source."""

from memtk.audit.dry_run import describe_audit
from memtk.audit.given import audit_embeddings
from memtk.audit.plan import AuditPlan, make_audit_plan
from memtk.audit.release import Release, release
from memtk.audit.run import FinishedAudit, run_audit
from memtk.audit.selftest import FinishedSelfTest, run_selftest

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
