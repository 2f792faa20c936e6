"""The times of a SAML response: which are read, and the exact limits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from iam_guard.authn.saml.validity import Validity, read_instant
from iam_guard.authn.saml.xml_tree import XmlElement
from iam_guard.errors import ExpiredIdentityToken, InvalidIdentityToken
from tests.authn.saml.identity_provider import NOW
from tests.tables import table

SKEW = 60.0
MICROSECOND = timedelta(microseconds=1)


def element(**attributes: str | datetime) -> XmlElement:
    """Return an element with these attributes; times are written in microseconds."""
    written = {name: value if isinstance(value, str) else shown(value) for name, value in attributes.items()}
    return XmlElement("{urn:x}Part", written, (), "")


def shown(instant: datetime) -> str:
    return instant.isoformat(timespec="microseconds")[:-6] + "Z"


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@table(
    ("text", "expected"),
    [
        ("2027-01-15T12:00:00Z", NOW),
        ("2027-01-15T12:00:00.5Z", NOW + timedelta(milliseconds=500)),
        ("2027-01-15T12:00:00.1234567Z", NOW + timedelta(microseconds=123456)),
        ("2028-02-29T23:59:59.999999999999Z", datetime(2028, 2, 29, 23, 59, 59, 999999, UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_instants_are_read(text: str, expected: datetime) -> None:
    """With any fraction of a second; what is shorter than a microsecond is cut off."""
    assert read_instant(element(At=text), "At") == expected


@table(
    "text",
    [
        "",
        "now",
        "1800000000",
        "2027-01-15",
        "2027-01-15T12:00:00",
        "2027-01-15T12:00:00+00:00",
        "2027-01-15T12:00:00z",
        "2027-01-15t12:00:00Z",
        "2027-01-15 12:00:00Z",
        " 2027-01-15T12:00:00Z",
        "2027-01-15T12:00:00Z\n",
        "2027-01-15T12:00Z",
        "2027-01-15T12:00:60Z",
        "2027-01-15T24:00:00Z",
        "2027-02-29T12:00:00Z",
        "2027-13-15T12:00:00Z",
        "2027-01-15T12:00:00.Z",
        "2027-01-15T12:00:00,5Z",
        "0000-01-01T00:00:00Z",
        "12027-01-15T12:00:00Z",
        "-2027-01-15T12:00:00Z",
        "2027-W03-5T12:00:00Z",
        "\u0662\u0660\u0662\u0667-01-15T12:00:00Z",
    ],
)
def test_other_instants_are_refused(text: str) -> None:
    """Without `Z`, the time zone would be a guess."""
    with pytest.raises(InvalidIdentityToken, match="expected a time with Z as At of Part"):
        read_instant(element(At=text), "At")


def test_missing_instant_is_refused() -> None:
    """As an empty one."""
    with pytest.raises(InvalidIdentityToken, match="expected a time with Z as At of Part"):
        read_instant(element(), "At")


def test_issue_is_at_most_five_minutes_ago() -> None:
    """The skew counts for the future only."""
    validity = Validity(NOW, SKEW)
    for issued in (after(-300), NOW, after(60)):
        assert validity.check_issued(issued) == issued
    with pytest.raises(ExpiredIdentityToken, match="redeemed within 5 minutes of issuance"):
        validity.check_issued(after(-300) - MICROSECOND)
    with pytest.raises(InvalidIdentityToken, match="IssueInstant is in the future"):
        validity.check_issued(after(60) + MICROSECOND)


def test_period_has_exact_limits() -> None:
    """`NotOnOrAfter` is the first instant at which it is not valid anymore, but for the skew."""
    validity = Validity(NOW, SKEW)
    validity.check_period(element(NotBefore=after(60), NotOnOrAfter=after(-60) + MICROSECOND), ends=True)
    validity.check_period(element(), ends=False)
    with pytest.raises(InvalidIdentityToken, match="NotBefore of Part is in the future"):
        validity.check_period(element(NotBefore=after(60) + MICROSECOND), ends=False)
    for ends in (True, False):
        with pytest.raises(ExpiredIdentityToken, match="NotOnOrAfter of Part is in the past"):
            validity.check_period(element(NotOnOrAfter=after(-60)), ends=ends)
    with pytest.raises(InvalidIdentityToken, match="expected a time with Z as NotOnOrAfter of Part"):
        validity.check_period(element(), ends=True)


def test_sessions_end_at_the_earliest() -> None:
    """Without skew, since the session ends here."""
    validity = Validity(NOW, SKEW)
    plain, short, long = (
        element(AuthnInstant=NOW, **({"SessionNotOnOrAfter": after(end)} if end else {})) for end in (0, 600, 900)
    )
    assert validity.check_sessions([plain]) is None
    assert validity.check_sessions([long, plain, short]) == after(600)
    with pytest.raises(ExpiredIdentityToken, match="SessionNotOnOrAfter is in the past"):
        validity.check_sessions([short, element(AuthnInstant=NOW, SessionNotOnOrAfter=NOW)])
    with pytest.raises(InvalidIdentityToken, match="AuthnInstant is in the future"):
        validity.check_sessions([element(AuthnInstant=after(60) + MICROSECOND)])


@table(
    ("issued", "ends", "expected"),
    [
        (0, (600, 900), 360),
        (-299, (600, 900), 61),
        (0, (100, 900), 160),
        (0, (900, 100), 160),
        (0, (-59,), 1),
    ],
)
def test_no_copy_is_accepted_after_the_end(issued: int, ends: tuple[int, ...], expected: int) -> None:
    """The end of the remembered use is after the last instant at which the same assertion is accepted."""
    validity = Validity(NOW, SKEW)
    for end in ends:
        validity.check_period(element(NotOnOrAfter=after(end)), ends=True)
    assert validity.end(after(issued)) == after(expected)
    with pytest.raises(ExpiredIdentityToken):
        check(Validity(after(expected), SKEW), issued, ends)


def check(validity: Validity, issued: int, ends: tuple[int, ...]) -> None:
    validity.check_issued(after(issued))
    for end in ends:
        validity.check_period(element(NotOnOrAfter=after(end)), ends=True)


def test_without_skew_the_end_is_after_the_last_second() -> None:
    """At exactly five minutes, an assertion is accepted still."""
    validity = Validity(NOW, 0.0)
    validity.check_period(element(NotOnOrAfter=after(900)), ends=True)
    assert validity.end(NOW) == after(301)


def test_last_year_of_the_calendar_is_no_error() -> None:
    """Identity providers write it for *never*."""
    validity = Validity(NOW, SKEW)
    validity.check_period(element(NotOnOrAfter="9999-12-31T23:59:59Z"), ends=True)
    assert validity.end(NOW) == after(360)
