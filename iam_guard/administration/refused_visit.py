"""A refused request of a browser, for the page that is shown instead of a problem document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias


class RefusedVisit(NamedTuple):
    """What the page says: why, in which language, and under which id the audit trail has the request."""

    reason: Literal["no_access", "not_found", "other_site"]
    accept_language: str
    request_id: str
    is_signed_in: bool


RefusalPage: TypeAlias = Callable[[RefusedVisit], tuple[tuple[tuple[str, str], ...], bytes]]
"""Returns the headers and the body of the page."""
