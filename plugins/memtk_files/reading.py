"""Turns what a library says about a broken file into an error that names the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memtk import UserError


@contextmanager
def reading(path: Path, item: str = "", *, kind: str) -> Iterator[None]:
    """Turn any failure in the block into a `UserError` that names `path`.

    Args:
        path: what is read.
        item: which image of it.
        kind: what it should be ("NIfTI file").

    Files are untrusted and libraries raise what they like about broken ones (zlib.error,
    struct.error, KeyError, ...), so every `Exception` counts as "cannot be read".
    """
    where = f"{path} ({item})" if item else f"{path}"
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"cannot read {where}: there is no such file") from error
    except PermissionError as error:
        raise UserError(f"cannot read {where}: no permission") from error
    except MemoryError as error:
        raise UserError(f"cannot read {where}: its header claims more voxels than fit") from error
    except Exception as error:
        text = re.sub(r"\s+", " ", str(error)).strip().replace(str(path), path.name)
        # Only the first sentence: those after it tell programmers what to pass.
        reason = text.split(". ")[0][:100].rstrip(".") or type(error).__name__
        raise UserError(
            f"cannot read {where}: it is damaged, or not a {kind} ({reason})"
        ) from error


def real_numbers(dtype: object) -> bool:
    """Tell whether a NumPy dtype holds integers, booleans or real floating-point numbers."""
    return getattr(dtype, "kind", "") in "biuf"
