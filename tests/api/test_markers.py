"""Pagination markers: issued ones work, all others are rejected.

A marker is opaque, and at most 320 characters long.
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
from tests.api.sample_server import THEIR_SECRET, SampleServer, sample_server

PAGED = sorted(
    name
    for name, operation in OPERATIONS.items()
    if operation.input is not None and "Marker" in operation.input.members and name not in NOT_SUPPORTED
)
NO_MARKERS = ["x", "=", "AAAA", "....", " ", "W10=", "null", "-1", "1.5", *MARKERS]


@pytest.fixture(scope="module")
def sample() -> Iterator[SampleServer]:
    """The server of all tests in this module; only the tests of long keys write."""
    with sample_server() as sample:
        yield sample


@pytest.fixture(scope="module")
def unvalidated(sample: SampleServer) -> Client:
    """A boto3 client without parameter validation."""
    return sample.unvalidated()


def refused(client: Client, operation: str, marker: str, sample: SampleServer) -> bool:
    """Return whether a marker is rejected as AWS does; it never leads to the other account."""
    try:
        answer = getattr(client, xform_name(operation))(**parameters_of(operation, sample.parameters), Marker=marker)
    except ClientError as error:
        response = error.response
        assert response["Error"]["Code"] == ("MalformedInput" if NOT_IN_XML.search(marker) else "ValidationError"), (
            response
        )
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 400, response
        return True
    assert THEIR_SECRET not in str(answer)
    return False


@pytest.mark.parametrize("operation", PAGED)
def test_invalid_markers_are_rejected(sample: SampleServer, unvalidated: Client, operation: str) -> None:
    """Random texts, and texts encoded like a marker."""
    for marker in NO_MARKERS:
        assert refused(unvalidated, operation, marker, sample), marker


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(PAGED), TEXTS.filter(lambda text: not text.isdecimal()) | TEXTS.map(encoded))
def test_arbitrary_text_is_no_marker(sample: SampleServer, unvalidated: Client, operation: str, marker: str) -> None:
    """Except a number, which the simulator accepts."""
    assert refused(unvalidated, operation, marker, sample)


def a_marker(client: Client, operation: str, sample: SampleServer) -> str | None:
    answer = getattr(client, xform_name(operation))(**parameters_of(operation, sample.parameters), MaxItems=1)
    found: str | None = answer.get("Marker")
    return found


def tampered(marker: str) -> Iterator[str]:
    """Change each character, cut, double and reverse; and change the decoded value."""
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
    place, _, stamp = marker.rpartition("=")
    whole = base64.urlsafe_b64decode(place + "=" * (-len(place) % 4))
    for changed in (whole.replace(b"a", b"b"), whole.upper(), whole + b" ", b" " + whole):
        if changed != whole:
            yield base64.urlsafe_b64encode(changed).decode("ascii").rstrip("=") + "=" + stamp


CHANGED = ["ListUsers", "ListPolicies", "GetAccountAuthorizationDetails", "ListUserTags"]


@pytest.mark.parametrize("operation", CHANGED)
def test_changed_markers_are_rejected(sample: SampleServer, unvalidated: Client, operation: str) -> None:
    """Every change, encoded or decoded."""
    sample.reset()
    sample.admin.tag_user(UserName="given", Tags=[{"Key": "color", "Value": "blue"}])
    marker = a_marker(unvalidated, operation, sample)
    assert marker is not None
    false = [*tampered(marker), *FORGED_MARKERS]
    assert [each for each in false if not refused(unvalidated, operation, each, sample)] == []


def test_marker_works_only_in_its_own_list(sample: SampleServer, unvalidated: Client) -> None:
    """Not in another operation or account."""
    marker = a_marker(unvalidated, "ListUsers", sample)
    assert marker is not None
    others = [each for each in PAGED if each != "ListUsers"]
    assert [other for other in others if not refused(unvalidated, other, marker, sample)] == []
    assert refused(unvalidated, "ListUsers", sample.other_parameters["ListUsers.Marker"], sample)


@pytest.mark.parametrize("letter", ["x", "é", "日", "\U00020000"])
def test_list_with_long_keys_is_read_completely(sample: SampleServer, letter: str) -> None:
    """G-79: keys of 128 characters of up to four bytes; markers stay within 320."""
    sample.reset()
    keys = [letter * 127 + each for each in "abc"]
    sample.admin.tag_user(UserName="given", Tags=[{"Key": key, "Value": "x"} for key in keys])
    pages = sample.admin.get_paginator("list_user_tags").paginate(UserName="given", PaginationConfig={"PageSize": 1})
    found = [tag["Key"] for page in pages for tag in page["Tags"]]
    assert sorted(found) == sorted([*keys, "team"])
