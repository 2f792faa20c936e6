"""How much of the body of an unsigned call with an assertion is read, and from which memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from iam_guard import Guard, open_guard
from iam_guard.api.protocol.app import MAX_ASSERTION_BODY
from iam_guard.web.body_budget import MAX_UNVERIFIED, reserved_bytes
from tests.authn.saml.identity_provider import RECIPIENT
from tests.tables import table
from tests.web.asgi.test_unverified_bodies import FORM, PART, api

HEADERS = {"Host": "testserver", "Transfer-Encoding": "chunked", **FORM}
SAML = b"Action=AssumeRoleWithSAML&Version=2011-06-15&RoleArn=x&PrincipalArn=x&SAMLAssertion="
AFTER = [b"Version=2011-06-15&SAMLAssertion=", *[PART] * 4, b"&Action=AssumeRoleWithSAML&x=", *[PART] * 100]


Open = Callable[..., Guard]


@pytest.fixture
def guard_with() -> Iterator[Open]:
    """Open guards with these recipients, on an empty store."""
    guards: list[Guard] = []

    def opened(*recipients: str, **settings: int) -> Guard:
        guards.append(open_guard("sqlite://", saml_recipients=recipients, **settings))
        return guards[-1]

    yield opened
    for guard in guards:
        guard.close()


CASES: dict[str, tuple[list[bytes], str, int]] = {
    "an assertion of 100,000 escaped characters": (
        [SAML, *[b"%2B" * 10_000] * 10],
        "ValidationError",
        MAX_ASSERTION_BODY,
    ),
    "an endless assertion": ([SAML, *[PART] * 100], "ValidationError", MAX_ASSERTION_BODY),
    "another operation": ([SAML.replace(b"SAML&", b"WebIdentity&"), *[PART] * 100], "MissingAuthentic", MAX_UNVERIFIED),
    "a name that ends so": ([b"x" + SAML, *[PART] * 100], "MissingAuthentic", MAX_UNVERIFIED),
    "the operation after the assertion": (AFTER, "MissingAuthentic", MAX_UNVERIFIED),
}


@table("parts, code, limit", CASES.values(), list(CASES))
def test_only_assertions_may_be_long(guard_with: Open, parts: list[bytes], code: str, limit: int) -> None:
    """Of an unsigned call; the memory is free again afterwards."""
    found = api(guard_with(RECIPIENT), HEADERS, parts)
    assert f"<Code>{code}" in found.body.decode()
    assert found.status < 500
    assert found.taken <= limit + len(PART)
    assert reserved_bytes() == 0


def test_long_assertion_is_refused_early_without_a_recipient(guard_with: Open) -> None:
    """The default: no more is read than of other unsigned calls."""
    found = api(guard_with(), HEADERS, [SAML, *[PART] * 100])
    assert b"<Code>AccessDenied" in found.body
    assert found.taken <= MAX_UNVERIFIED + len(PART)


def test_assertions_use_an_eighth_of_the_memory(guard_with: Open) -> None:
    """The rest of `max_bodies` is for callers who are known."""
    small = guard_with(RECIPIENT, max_bodies=8 * 100_000, max_body=100_000)
    found = api(small, HEADERS, [SAML, *[PART] * 5])
    assert b"<Code>ValidationError" in found.body
    assert found.taken <= 100_000 + len(PART)
    busy = guard_with(RECIPIENT, max_bodies=8 * 20_000, max_body=100_000)
    assert api(busy, HEADERS, [SAML, *[PART] * 5]).status == 503
