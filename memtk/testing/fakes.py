"""Made-up results with names that an attacker or a careless user might choose."""

from __future__ import annotations

from typing import Any

from memtk.results import Audit, Policy, Result
from memtk.results.migrations import SCHEMA

SCRIPT = "<script>alert(1)</script>"
"""Stands in every name."""

PATH = "/home/someone/patients/PAT-00417.nii.gz"
"""Stands in the settings of a component, where a result may hold it and a report may not."""

PROTOCOLS = {
    "dar": {
        "tau": 0.9,
        "n_mem": 3,
        "n_copies": 4,
        "mem_fraction": 0.3,
        "copy_fraction": 0.4,
        "expected_mem_fraction": 0.05,
        "validation_called_copies": 1,
    },
    "dar_matched": {"n_mem": 2.5, "mem_fraction": 0.25},
    "conformal": {
        "alpha": 0.05,
        "fdr": 0.1,
        "copies_flagged_fraction": 0.4,
        "copies_expected_fraction": 0.0,
        "n_copies": 4,
        "finest_p": 0.1,
        "can_reject": True,
    },
}


def result() -> dict[str, Any]:
    """Return a cell's result as a report section is given it."""
    made = Result.model_validate(
        {
            **_about(),
            "cell": f"gen {SCRIPT}",
            "suite": {"name": f"suite {SCRIPT}", "version": "1"},
            "preset": f"smoke {SCRIPT}",
            "components": {
                "generator": _used("generator"),
                "embedder": _used("embedder"),
                "similarity": _used("similarity"),
                "mitigations": [_used("mitigation")],
                "quality": [_used("quality")],
            },
            "used_training": {"images": 10, "patients": 10},
            "checkpoints": [
                {
                    "step": step,
                    "n_synthetic": 10,
                    "protocols": PROTOCOLS,
                    "quality": {f"fid {SCRIPT}": 1.5},
                }
                for step in (1, 2)
            ],
        }
    )
    return made.model_dump(mode="json")


def audit() -> dict[str, Any]:
    """Return the result of an audit as a report section is given it."""
    made = Audit.model_validate(
        {
            **_about(),
            "verdict": {"outcome": "fail", "reasons": [f"4 images are copies {SCRIPT}."]},
            "policy": Policy().model_dump(),
            "protocols": PROTOCOLS,
            "counts": {
                name: {"images": 10, "patients": 10}
                for name in ("training", "validation", "synthetic")
            },
            "similarity": _used("similarity"),
            "embedder": _used("embedder"),
        }
    )
    return made.model_dump(mode="json")


def _about() -> dict[str, Any]:
    counts = {"images": 10, "patients": 10}
    return {
        "schema_version": SCHEMA,
        "memtk_version": f"0 {SCRIPT}",
        "data": {
            "fingerprint": "0" * 32,
            "source": f"manifest {SCRIPT}",
            "spec": {"shape": [8, 8], "channels": 1},
            "counts": {"training": counts, "validation": counts},
        },
        "seed": 0,
        "versions": {"python": f"3 {SCRIPT}"},
        "device": {"name": f"cpu {SCRIPT}", "processes": 1},
    }


def _used(name: str) -> dict[str, Any]:
    about = {"plugin": f"plugin {SCRIPT}", "distribution": f"package {SCRIPT}", "version": "1"}
    return {"name": f"{name} {SCRIPT}", **about, "config": {"weights": PATH, "note": SCRIPT}}
