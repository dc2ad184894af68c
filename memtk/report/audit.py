"""The page of an audit: may these synthetic images be released?"""

from __future__ import annotations

from pathlib import Path

from memtk.data.images import StoredImages
from memtk.data.originals import OriginalsChanged
from memtk.errors import many
from memtk.registry import Registry
from memtk.report.audit_steps import audit_steps
from memtk.report.counts import conditions_section, counts_of_audit
from memtk.report.page import Page, Section, make_section, write_page
from memtk.report.pictures import find_pairs, read_key
from memtk.report.plugin_sections import PluginSections, run_of
from memtk.report.provenance import provenance_of_audit, real_images, repeat_audit
from memtk.report.quality import features_word, quality_rows
from memtk.report.review import review_section
from memtk.report.sections import (
    names_section,
    pairs_section,
    provenance_section,
    reading_section,
    selftest_section,
    similarities_section,
)
from memtk.results import (
    Audit,
    answer_audit,
    explain,
    has_arrays,
    read_arrays,
    read_audit,
    read_run_file,
)

ARRAYS = "audit"
"""The group of arrays.h5 with what the audit was computed from."""


def build_audit_report(folder: Path, registry: Registry | None = None) -> Path:
    """Write `folder/report.html` and return its path.

    The page shows pictures of training images, but no file name and no patient number; of an audit
    of embeddings it shows no pictures. The same audit gives the same bytes.

    Args:
        folder: as `memtk audit` leaves it.
        registry: brings the report sections of plugins; None leaves them out.

    Raises:
        UserError: if the audit is not finished, or a file is damaged, naming it.
    """
    folder = Path(folder)
    file = read_run_file(folder)
    audit = read_audit(folder / "audit.json")
    command = repeat_audit(file.recipe, audit.policy)
    test = audit.evidence
    page = Page(
        title="May these synthetic images be released?",
        lead=f"{_lead(audit)}; {file.created}",
        sections=(
            audit_section(folder, audit, read_key(folder), PluginSections(registry), command),
            reading_section(test.fdr, test.alpha),
        ),
    )
    return write_page(folder, page)


def audit_section(
    folder: Path, audit: Audit, key: bytes, plugins: PluginSections, command: str = ""
) -> Section:
    """Return all that the page shows of an audit.

    Args:
        plugins: bring sections of their own.

    Raises:
        UserError: if a file is damaged, naming it.
    """
    path, images = folder / "arrays.h5", audit_images(folder, audit)
    tau = audit.evidence.tau
    arrays = read_arrays(path, ARRAYS) if has_arrays(path, ARRAYS) else None
    parts: list[Section | None] = []
    if arrays:
        synthetic, validation = (audit.counts[s].images for s in ("synthetic", "validation"))
        parts.append(similarities_section(arrays, tau, synthetic, validation))
    if audit.data:
        pairs = None
        if arrays and images:
            try:
                pairs = find_pairs(arrays, images, key, "synthetic")
            except OriginalsChanged:  # which file it is, a report does not say
                images = {}
        parts.append(pairs_section(pairs, audit.data, tau, arrays, audit.evidence))
    parts += [
        _quality(audit),
        conditions_section(audit),
        selftest_section(audit.selftest) if audit.selftest else None,
        review_section(folder, audit),
        names_section(audit.evidence),
        make_section("policy", "The policy", "policy.html", policy=audit.policy),
    ]
    shown = plugins.among(
        [part for part in parts if part is not None],
        lambda: run_of("audit", audit, path, [ARRAYS], images, {}, key),
    )
    return make_section(
        "audit",
        "",
        "audit.html",
        parts=[*shown, provenance_section(provenance_of_audit(audit), command)],
        css="only audit",
        audit=audit,
        said=answer_audit(audit),
        steps=audit_steps(audit, folder, paths=False),
        groups=counts_of_audit(audit),
        explanation=explain(audit),
    )


def _quality(audit: Audit) -> Section | None:
    if not (rows := quality_rows([audit])):
        return None
    saw = audit.embedder_trained_on
    extractor = audit.embedder if any(i.extractor for i in audit.measure_info.values()) else None
    return make_section(
        "quality",
        "Quality and diversity",
        "quality.html",
        evaluated=[audit],
        measures=rows,
        features=features_word(extractor, saw.copies if saw else None),
        figures=[],
    )


def audit_images(folder: Path, audit: Audit) -> dict[str, StoredImages]:
    """Return the images of an audit by split; empty if there are none, or no longer.

    Raises:
        UserError: if a file is damaged, naming it.
    """
    path = folder / "data" / f"{audit.data.fingerprint}.h5" if audit.data else None
    if path is None or not path.exists():
        return {}
    return {s: StoredImages(path, s) for s in ("training", "validation", "synthetic")}


def _lead(audit: Audit) -> str:
    counts, data = audit.counts, audit.data
    synthetic = many(counts["synthetic"].images, "synthetic image")
    return f"{synthetic}; {real_images(counts, data.spec if data else None)}"
