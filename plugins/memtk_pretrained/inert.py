"""What stands in for the objects of other packages in a file, and the tensors that they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class Inert:
    """Stands in for every class and function that a file names: takes anything, does nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        self.state: Mapping[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        """Keep the attributes of an object."""
        self.state = state if isinstance(state, Mapping) else {}


def named_values(module: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield parameters and buffers of a module read as `Inert`, by the names of its state_dict."""
    state = getattr(module, "state", {})
    for kind in ("_parameters", "_buffers"):
        for name, value in _entries(state, kind):
            yield f"{prefix}{name}", value
    for name, part in _entries(state, "_modules"):
        if isinstance(part, Inert):
            yield from named_values(part, f"{prefix}{name}.")


def _entries(state: Mapping[str, Any], kind: str) -> Iterator[tuple[Any, Any]]:
    table = state.get(kind)
    yield from table.items() if isinstance(table, Mapping) else ()
