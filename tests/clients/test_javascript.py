"""`@aws-sdk/client-iam` takes us for AWS: its paginators, waiters, dates and error classes work (`iam.mjs`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.conftest import Name
from tests.clients.programs import Javascript, play
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
    """Play a scenario of `iam.mjs`, and give what it printed."""
    return play(PROGRAM, "client-iam", variables)


def test_a_user(javascript: Javascript, server: Server, name: Name) -> None:
    """A user is created, waited for, read and deleted; its date is a date, and the answer tells the request's id."""
    ada = name("ada")
    seen = javascript("user", name=ada)
    assert seen["created"]["Arn"] == server.arn(f"user/js/{ada}")
    assert seen["got"] == seen["created"]
    assert seen["isDate"] is True
    assert abs(seen["age"]) < 300_000
    assert (seen["waited"], seen["status"]) == ("SUCCESS", 200)
    assert seen["requestId"]


def test_pages(javascript: Javascript, name: Name) -> None:
    """A paginator of two a page meets each user once, in the order of names."""
    users = [name(word) for word in ("a", "b", "c", "d", "e")]
    pages = javascript("pages", path=f"/{name('js')}/", names=users)
    assert pages == [users[:2], users[2:4], users[4:]]


def test_a_document(javascript: Javascript, name: Name) -> None:
    """A policy document, decoded, is to the letter what was written."""
    assert javascript("document", name=name("ada"), document=DOCUMENT) == {"policy": "Docs", "document": DOCUMENT}


def test_tags(javascript: Javascript, name: Name) -> None:
    """Tags keep their letters, a tag set again is replaced, and a role's trust policy comes back as written."""
    odd = {"Key": "ünï / a@b", "Value": ""}
    seen = javascript("tags", name=name("ada"), trust=TRUST)
    assert seen["user"] == [{"Key": "team", "Value": "a+b c"}, odd]
    assert seen["left"] == [odd]
    assert seen["role"] == [{"Key": "team", "Value": "docs"}, odd]
    assert seen["trust"] == TRUST


def test_errors(javascript: Javascript, name: Name) -> None:
    """Errors come as the SDK's own classes, with AWS's sentence and status."""
    ada = name("ada")
    missing, there, stranger = javascript("errors", name=ada)
    assert missing == {
        "isKind": True,
        "name": "NoSuchEntityException",
        "message": f"The user with name no-{ada} cannot be found.",
        "fault": "client",
        "status": 404,
    }
    assert there == {
        "isKind": True,
        "name": "EntityAlreadyExistsException",
        "message": f"User with name {ada} already exists.",
        "fault": "client",
        "status": 409,
    }
    assert (stranger["isKind"], stranger["name"], stranger["status"]) == (True, "InvalidClientTokenId", 403)
