import numpy as np

from memtk.auditing import (
    EmbeddingAudit,
    audit_embeddings,
    checked_embeddings,
    make_audit_plan,
    run_audit,
)
from memtk.results import Policy

FEW, TIMES = 40, 4


def test_four_times_the_rows_and_patients_are_audited_in_four_times_the_calls(
    registry, tmp_path, calls
):
    rng, counts = np.random.default_rng(0), {}
    for what in ("warm", "few", "many"):  # what is loaded once is not counted
        rows = FEW * (TIMES if what == "many" else 1)
        sets = {name: rng.normal(size=(rows, 8)) for name in ("train", "validation", "synthetic")}
        sets["train_patient"] = np.arange(rows) // 2
        sets["validation_patient"] = rows + np.arange(rows) // 2
        plan = EmbeddingAudit(checked_embeddings(sets, "embeddings"))
        with calls() as made:
            out = tmp_path / what
            audit_embeddings(plan, registry, policy=Policy(), out=out, device="cpu")
        counts[what] = made.count
    assert counts["few"] > FEW and counts["many"] < 1.1 * TIMES * counts["few"], counts


def test_four_times_the_images_are_audited_in_four_times_the_calls(registry, tmp_path, calls):
    rng, counts = np.random.default_rng(0), {}
    for what in ("warm", "few", "many"):
        rows, data = FEW * (TIMES if what == "many" else 1), {}
        for role in ("source", "validation_source", "synthetic_source"):
            data[role] = str(tmp_path / f"{what} {role}.npz")
            np.savez(data[role], images=rng.integers(0, 256, (rows, 12, 12), dtype=np.uint8))
        plan = make_audit_plan(registry, {"similarity": "ncc", "plants": 10}, data=data)
        with calls() as made:
            run_audit(plan, registry, policy=Policy(), out=tmp_path / what, device="cpu")
        counts[what] = made.count
    assert counts["few"] > FEW and counts["many"] < 1.1 * TIMES * counts["few"], counts
