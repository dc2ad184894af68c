"""Results of a run: what they are, and how they lie on the disk. Nothing here imports torch."""

from memtk.results.arrays import has_arrays, read_arrays, write_arrays
from memtk.results.audit import Audit, AuditVerdict, audit_schema, read_audit, write_audit
from memtk.results.decision import decide
from memtk.results.explanation import explain
from memtk.results.measured import Measured
from memtk.results.membership import FewAlarms, Membership
from memtk.results.policy import Policy, read_policy
from memtk.results.privacy import Privacy, PrivatePhase
from memtk.results.protocols import Conformal, Dar, DarMatched, Protocols, RateInterval
from memtk.results.run import Run, RunFile, read_run, read_run_file, write_run_file
from memtk.results.schema import (
    Checkpoint,
    Components,
    Counts,
    Data,
    Deed,
    Device,
    EmbedderSaw,
    Reconstruction,
    Result,
    Spec,
    Suite,
    Used,
    json_schema,
)
from memtk.results.selftest import Found, Planted, Rate, SelfTest, Spared
from memtk.results.store import (
    read_checkpoint,
    read_record,
    read_result,
    write_checkpoint,
    write_record,
    write_result,
)
from memtk.results.summary import headline, percent
from memtk.results.verdict import Verdict, verdict

__all__ = [
    "Audit",
    "AuditVerdict",
    "Checkpoint",
    "Components",
    "Conformal",
    "Counts",
    "Dar",
    "DarMatched",
    "Data",
    "Deed",
    "Device",
    "EmbedderSaw",
    "FewAlarms",
    "Found",
    "Measured",
    "Membership",
    "Planted",
    "Policy",
    "Privacy",
    "PrivatePhase",
    "Protocols",
    "Rate",
    "RateInterval",
    "Reconstruction",
    "Result",
    "Run",
    "RunFile",
    "SelfTest",
    "Spared",
    "Spec",
    "Suite",
    "Used",
    "Verdict",
    "audit_schema",
    "decide",
    "explain",
    "has_arrays",
    "headline",
    "json_schema",
    "percent",
    "read_arrays",
    "read_audit",
    "read_checkpoint",
    "read_record",
    "read_policy",
    "read_result",
    "read_run",
    "read_run_file",
    "verdict",
    "write_arrays",
    "write_audit",
    "write_checkpoint",
    "write_record",
    "write_result",
    "write_run_file",
]
