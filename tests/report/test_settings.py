from __future__ import annotations

from memtk.report.provenance import as_text, flatten


def test_settings_become_dotted_keys():
    settings = {"a": {"b": 1.5, "c": {"d": True}}, "e": [], "f": (1, 2), "g": None}
    assert flatten(settings) == [
        ("a.b", "1.5"),
        ("a.c.d", "true"),
        ("e", ""),
        ("f", "1, 2"),
        ("g", "none"),
    ]


def test_a_number_is_written_without_loss():
    for value in (1e-4, 0.1 + 0.2, 1 / 3, 2.0, 1e30):
        assert float(as_text(value)) == value
