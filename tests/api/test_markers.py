"""Markers of pages: each that was given leads on, and no other is taken.

Rules of the wire API: a marker is opaque, and at most 320 characters long.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.api.iam.unsupported_operations import NOT_SUPPORTED
from iam_guard.api.protocol.xml_body import NOT_IN_XML
from tests.api.attacks import FORGED_MARKERS, MARKERS, TEXTS, encoded
from tests.api.conftest import Client
from tests.api.every_operation import OPERATIONS, parameters_of
from tests.api.furnished import THEIR_SECRET, House, furnished

PAGED = sorted(
    name
    for name, operation in OPERATIONS.items()
    if operation.input is not None and "Marker" in operation.input.members and name not in NOT_SUPPORTED
)
NO_MARKERS = ["x", "=", "AAAA", "....", " ", "W10=", "null", "-1", "1.5", *MARKERS]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """The server of all tests here; nothing is changed in it but by the tests of long keys."""
    with furnished() as house:
        yield house


@pytest.fixture(scope="module")
def careless(house: House) -> Client:
    """A client of boto3 that lets everything through."""
    return house.careless()


def refused(client: Client, operation: str, marker: str, house: House) -> bool:
    """Return whether a marker is refused in the way that AWS refuses one; it never leads to the other account."""
    try:
        answer = getattr(client, xform_name(operation))(**parameters_of(operation, house.given), Marker=marker)
    except ClientError as error:
        told = error.response
        assert told["Error"]["Code"] == ("MalformedInput" if NOT_IN_XML.search(marker) else "ValidationError"), told
        assert told["ResponseMetadata"]["HTTPStatusCode"] == 400, told
        return True
    assert THEIR_SECRET not in str(answer)
    return False


@pytest.mark.parametrize("operation", PAGED)
def test_what_is_no_marker_is_refused(house: House, careless: Client, operation: str) -> None:
    """Random texts, and what is written like a marker but is none."""
    for marker in NO_MARKERS:
        assert refused(careless, operation, marker, house), marker


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(PAGED), TEXTS.filter(lambda text: not text.isdecimal()) | TEXTS.map(encoded))
def test_no_text_is_a_marker(house: House, careless: Client, operation: str, marker: str) -> None:
    """Whatever it is, but for a number, which the simulator goes on from."""
    assert refused(careless, operation, marker, house)


def a_marker(client: Client, operation: str, house: House) -> str | None:
    answer = getattr(client, xform_name(operation))(**parameters_of(operation, house.given), MaxItems=1)
    found: str | None = answer.get("Marker")
    return found


def tampered(marker: str) -> Iterator[str]:
    """Change one character after the other, cut, double and reverse; and change what it is written from."""
    for index in range(0, len(marker), 3):
        other = "B" if marker[index] == "A" else "A"
        yield marker[:index] + other + marker[index + 1 :]
    yield from (
        marker[:-1],
        marker[1:],
        marker[: len(marker) // 2],
        marker * 2,
        marker[::-1],
        marker + "=",
        f" {marker}",
    )
    place, _, stamp = marker.rpartition(".")
    whole = base64.urlsafe_b64decode(place + "=" * (-len(place) % 4))
    for changed in (whole.replace(b"a", b"b"), whole.upper(), whole + b" ", b" " + whole):
        if changed != whole:
            yield base64.urlsafe_b64encode(changed).decode("ascii").rstrip("=") + "." + stamp


CHANGED = ["ListUsers", "ListPolicies", "GetAccountAuthorizationDetails", "ListUserTags"]


@pytest.mark.parametrize("operation", CHANGED)
def test_a_changed_marker_is_refused(house: House, careless: Client, operation: str) -> None:
    """Of what was given, nothing can be changed; what looks like its inside is none."""
    house.reset()
    house.admin.tag_user(UserName="given", Tags=[{"Key": "color", "Value": "blue"}])
    marker = a_marker(careless, operation, house)
    assert marker is not None
    false = [*tampered(marker), *FORGED_MARKERS]
    assert [each for each in false if not refused(careless, operation, each, house)] == []


def test_a_marker_leads_on_in_its_own_list_only(house: House, careless: Client) -> None:
    """One of another operation, or of another account, is none."""
    marker = a_marker(careless, "ListUsers", house)
    assert marker is not None
    others = [each for each in PAGED if each != "ListUsers"]
    assert [other for other in others if not refused(careless, other, marker, house)] == []
    assert refused(careless, "ListUsers", house.theirs["ListUsers.Marker"], house)


@pytest.mark.parametrize("letter", ["x", "é", "日", "\U00020000"])
def test_a_list_of_long_keys_is_read_to_its_end(house: House, letter: str) -> None:
    """G-79: keys of 128 characters, which may take four bytes each; the marker after one is no longer than 320."""
    house.reset()
    keys = [letter * 127 + each for each in "abc"]
    house.admin.tag_user(UserName="given", Tags=[{"Key": key, "Value": "x"} for key in keys])
    pages = house.admin.get_paginator("list_user_tags").paginate(UserName="given", PaginationConfig={"PageSize": 1})
    found = [tag["Key"] for page in pages for tag in page["Tags"]]
    assert sorted(found) == sorted([*keys, "team"])
