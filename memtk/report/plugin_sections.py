"""Sections that plugins add to the report. One plugin's failure stays its own."""

from __future__ import annotations

from markupsafe import Markup

from memtk.registry import Registry
from memtk.report.page import Section
from memtk.results import Audit, Result


def plugin_sections(registry: Registry | None, result: Result | Audit) -> list[Section]:
    """Return what the report sections of all plugins say of a cell, or of an audit.

    An audit is shown only to sections with an attribute `audits` that is true: its JSON is another.
    A section that returns None is left out. One that fails is a line in the report; why it failed
    is not shown, because the error may name a file or a patient.
    """
    sections = []
    for entry in registry.entries("report") if registry else ():
        try:
            section = entry.load()()
            if isinstance(result, Audit) and not getattr(section, "audits", False):
                continue
            title, body = str(section.title), section(result.model_dump(mode="json"))
            if body is not None:
                sections.append(Section(entry.name, title, Markup(body)))
        except Exception:
            line = f"section {entry.name} of plugin {entry.plugin.name} failed"
            sections.append(
                Section(
                    entry.name,
                    entry.component.summary,
                    Markup('<p class="note">{}</p>').format(line),
                )
            )
    return sections
