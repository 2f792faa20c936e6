"""What a missing library says: the extra of iam_guard that brings it.

Each import of a library that only an extra has is within `requires_extra`, in the module that uses the library.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from iam_guard.errors import ConfigurationError


@contextmanager
def requires_extra(extra: str, purpose: str) -> Iterator[None]:
    """Raise `ConfigurationError`, which names the extra and its purpose, if an import within fails for its absence."""
    try:
        yield
    except ModuleNotFoundError as missing:
        message = f"{purpose} requires the extra `{extra}` of iam_guard: pip install 'iam-guard[{extra}]'"
        raise ConfigurationError(message) from missing
