"""`@aws-sdk/client-iam` works as with AWS: its paginators, waiters, dates and error classes (`iam.mjs`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.conftest import Name
from tests.clients.programs import Javascript, scenario_runner
from tests.clients.serving import Server

PROGRAM = Path(__file__).with_name("iam.mjs")
DOCUMENT = """{ "Version": "2012-10-17",
  "Statement": {"Effect": "Deny", "Action": "*", "Resource": "arn:aws:docs:::a+b %2F é/${aws:username}"}
}"""
TRUST = (
    '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},'
    ' "Action": "sts:AssumeRole"}}'
)


@pytest.fixture
def javascript(variables: dict[str, str]) -> Javascript:
    """Return a function that runs a scenario of `iam.mjs` and returns its output."""
    return scenario_runner(PROGRAM, "client-iam", variables)


def test_user_lifecycle(javascript: Javascript, server: Server, name: Name) -> None:
    """A user is created, waited for, fetched and deleted; dates are parsed, and the response has a request id."""
    ada = name("ada")
    result = javascript("user", name=ada)
    assert result["created"]["Arn"] == server.arn(f"user/js/{ada}")
    assert result["got"] == result["created"]
    assert result["isDate"] is True
    assert abs(result["age"]) < 300_000
    assert (result["waited"], result["status"]) == ("SUCCESS", 200)
    assert result["requestId"]


def test_paginator_returns_each_user_once(javascript: Javascript, name: Name) -> None:
    """Two users per page, in the order of names."""
    users = [name(word) for word in ("a", "b", "c", "d", "e")]
    pages = javascript("pages", path=f"/{name('js')}/", names=users)
    assert pages == [users[:2], users[2:4], users[4:]]


def test_document_is_returned_unchanged(javascript: Javascript, name: Name) -> None:
    """A policy document, decoded, equals the one that was written."""
    assert javascript("document", name=name("ada"), document=DOCUMENT) == {"policy": "Docs", "document": DOCUMENT}


def test_tags_and_trust_policy_are_returned_unchanged(javascript: Javascript, name: Name) -> None:
    """A tag set again is replaced."""
    odd = {"Key": "ünï / a@b", "Value": ""}
    result = javascript("tags", name=name("ada"), trust=TRUST)
    assert result["user"] == [{"Key": "team", "Value": "a+b c"}, odd]
    assert result["left"] == [odd]
    assert result["role"] == [{"Key": "team", "Value": "docs"}, odd]
    assert result["trust"] == TRUST


def test_errors_are_the_classes_of_the_sdk(javascript: Javascript, name: Name) -> None:
    """With AWS's message and status."""
    ada = name("ada")
    missing, existing, unknown_key = javascript("errors", name=ada)
    assert missing == {
        "isKind": True,
        "name": "NoSuchEntityException",
        "message": f"The user with name no-{ada} cannot be found.",
        "fault": "client",
        "status": 404,
    }
    assert existing == {
        "isKind": True,
        "name": "EntityAlreadyExistsException",
        "message": f"User with name {ada} already exists.",
        "fault": "client",
        "status": 409,
    }
    assert (unknown_key["isKind"], unknown_key["name"], unknown_key["status"]) == (True, "InvalidClientTokenId", 403)


@pytest.mark.parametrize(("minutes", "sentence"), [(-20, "Signature expired: "), (20, "Signature not yet current: ")])
def test_wrong_clock_is_corrected(javascript: Javascript, minutes: int, sentence: str) -> None:
    """From the first response; the SDK signs again with the server's time, or at the latest in the next call."""
    result = javascript("clock", minutes=minutes)
    assert result["first"]["name"] == "SignatureDoesNotMatch"
    assert result["first"]["message"].startswith(sentence)
    assert result["first"]["message"].endswith(" 15 min.)")
    assert (result["later"], result["retried"]) == (1, 2)
