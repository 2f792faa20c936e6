"""The times of a SAML response: when it was issued, from and until when its parts are valid.

Clock differences up to the skew are tolerated where the identity provider's clock is ahead or behind, and not for the
maximum age of an assertion.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from iam_guard.authn.saml.xml_tree import XmlElement, local_name
from iam_guard.errors import ExpiredIdentityToken, InvalidIdentityToken

MAX_ASSERTION_AGE: Final = timedelta(minutes=5)
"""Tokens must be redeemed within this time of their issuance, as at AWS."""

_INSTANT: Final = re.compile(r"(\d{4}-[01]\d-[0-3]\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(\d{1,12}))?Z", re.ASCII)


def read_instant(element: XmlElement, name: str) -> datetime:
    """Return the time in an attribute, which must be UTC with `Z`. Raises `InvalidIdentityToken`."""
    match = _INSTANT.fullmatch(element.attributes.get(name, ""))
    try:
        if match:
            fraction = (match[2] or "0")[:6].ljust(6, "0")
            return datetime.fromisoformat(f"{match[1]}.{fraction}").replace(tzinfo=UTC)
    except ValueError:
        pass
    raise InvalidIdentityToken(f"expected a time with Z as {name} of {local_name(element.name)}")


class Validity:
    """Checks the times of one response at `now`, and collects the ends of its validity."""

    def __init__(self, now: datetime, skew: float) -> None:
        self._now = now
        self._skew = timedelta(seconds=skew)
        self._ends: list[datetime] = []

    def check_issued(self, issued: datetime) -> datetime:
        """Return the time of issue.

        Raises `ExpiredIdentityToken` if it is too long ago, `InvalidIdentityToken` if it is in the future.
        """
        if issued > self._now + self._skew:
            raise InvalidIdentityToken("IssueInstant is in the future")
        if self._now - issued > MAX_ASSERTION_AGE:
            raise ExpiredIdentityToken("Token must be redeemed within 5 minutes of issuance")
        return issued

    def check_period(self, element: XmlElement, *, ends: bool) -> None:
        """Check `NotBefore` and `NotOnOrAfter` of an element; with `ends`, the latter is required.

        Raises `InvalidIdentityToken` if it is not valid yet, `ExpiredIdentityToken` if not anymore.
        """
        name = local_name(element.name)
        if "NotBefore" in element.attributes and read_instant(element, "NotBefore") > self._now + self._skew:
            raise InvalidIdentityToken(f"NotBefore of {name} is in the future")
        if ends or "NotOnOrAfter" in element.attributes:
            end = read_instant(element, "NotOnOrAfter")
            if end <= self._now - self._skew:
                raise ExpiredIdentityToken(f"NotOnOrAfter of {name} is in the past")
            self._ends.append(end)

    def check_sessions(self, statements: Iterable[XmlElement]) -> datetime | None:
        """Check when the person signed in, and return the earliest `SessionNotOnOrAfter`.

        Raises `InvalidIdentityToken` if the sign-in is in the future, `ExpiredIdentityToken` if a session has ended.
        """
        ends = []
        for statement in statements:
            if read_instant(statement, "AuthnInstant") > self._now + self._skew:
                raise InvalidIdentityToken("AuthnInstant is in the future")
            if "SessionNotOnOrAfter" in statement.attributes:
                ends.append(read_instant(statement, "SessionNotOnOrAfter"))
        earliest = min(ends, default=None)
        if earliest is not None and earliest <= self._now:
            raise ExpiredIdentityToken("SessionNotOnOrAfter is in the past")
        return earliest

    def end(self, issued: datetime) -> datetime:
        """Return a time from which the assertion issued then is not valid anymore."""
        return min(*self._ends, issued + MAX_ASSERTION_AGE) + max(self._skew, timedelta(seconds=1))
