"""Hostile texts in every parameter of every operation: no server error, no partial effect.

Each response is well-formed XML of the right shape. A rejected call changes nothing; accepted texts are returned
unchanged by get and list operations. Malformed requests: `test_odd_requests`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iam_guard.api.iam.operations import IAM
from iam_guard.api.protocol.service_model import Shape
from tests.api.attacks import ATTACKS, TEXTS
from tests.api.conftest import OTHER_ACCOUNT
from tests.api.every_operation import OPERATIONS, parameters_of, value_of
from tests.api.protocol.client import sent
from tests.api.raw import NAMESPACE, Connection, RawAnswer, signed
from tests.api.sample_entities import key_of
from tests.api.sample_server import THEIR_SECRET, SampleServer, sample_server

ATTACKS_EACH = 3
"""Attacks from the list on each parameter; which, follows from its name, so that each is used somewhere."""
ADMIN = key_of("admin")
thorough = settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Place(NamedTuple):
    """A text in the parameters of an operation."""

    operation: str
    name: str
    with_text: Callable[[Mapping[str, Any], str], Any]
    """(parameters by name, the text) -> the parameters with the text."""


def places() -> Iterator[Place]:
    """Return all texts and numbers in the parameters of all operations."""
    for name, operation in sorted(OPERATIONS.items()):
        if operation.input is not None:
            for path, put in _texts(operation.input, name, name):
                yield Place(name, f"{name}{path}", put)


def _texts(shape: Shape, name: str, operation: str) -> Iterator[tuple[str, Callable[[Any, str], Any]]]:
    """Return the texts in a shape: their paths, and functions that replace them."""
    match shape.kind:
        case "string" | "integer":
            yield "", lambda base, text: text
        case "structure":
            for member, part in shape.members.items():
                for path, put in _texts(part, member, operation):
                    yield f".{member}{path}", _in_structure(shape, member, put, operation)
        case "list":
            for path, put in _texts(shape.element, f"{name}.member", operation):
                yield f"[]{path}", lambda base, text, put=put: [put(_first(base), text)]
        case "map":
            element = value_of(shape.value, "value", operation, {})
            yield "{}", lambda base, text: {text: element}
            for path, put in _texts(shape.value, "value", operation):
                yield f"{{}}.value{path}", lambda base, text, put=put: {"given/given": put(None, text)}


def _in_structure(
    shape: Shape, member: str, put: Callable[[Any, str], Any], operation: str
) -> Callable[[Any, str], Any]:
    def with_text(base: Any, text: str) -> Any:
        kept = (
            base
            if isinstance(base, dict)
            else {each: value_of(shape.members[each], each, operation, {}) for each in shape.required}
        )
        return {**kept, member: put(kept.get(member), text)}

    return with_text


def _first(base: Any) -> Any:
    return base[0] if isinstance(base, list) and base else None


PLACES = list(places())


@pytest.fixture(scope="module")
def sample_session() -> Iterator[SampleServer]:
    """The server of all tests in this module, reset before each test."""
    with sample_server() as sample:
        yield sample


@pytest.fixture(scope="module")
def connection(sample_session: SampleServer) -> Iterator[Connection]:
    opened = Connection(sample_session.url)
    yield opened
    opened.close()


def checked(answer: RawAnswer, operation: str) -> RawAnswer:
    """Check what every response must have."""
    assert answer.status < 500, answer
    assert answer.headers["content-type"] == "text/xml"
    root, request_id = answer.root, answer.headers["x-amzn-requestid"]
    assert answer.text("RequestId") == request_id
    assert THEIR_SECRET.encode() not in answer.body
    if answer.status == 200:
        assert root.tag == f"{{{NAMESPACE}}}{operation}Response"
    else:
        assert root.tag == f"{{{NAMESPACE}}}ErrorResponse"
        assert [each.tag.removeprefix(f"{{{NAMESPACE}}}") for each in root] == ["Error", "RequestId"]
        assert answer.text("Type") == "Sender"
        assert answer.text("Code").isalnum()
        assert answer.text("Message") != "" or answer.status == 404
    return answer


def theirs(rows: Mapping[str, list[tuple[Any, ...]]]) -> list[str]:
    """Return all rows of the other account."""
    texts = (repr(row) for each in rows.values() for row in each)
    return [text for text in texts if f"'{OTHER_ACCOUNT}'" in text or THEIR_SECRET in text]


class Sender:
    """Inserts texts into parameters, and checks that rejected calls change nothing."""

    def __init__(self, sample: SampleServer, connection: Connection) -> None:
        self._sample = sample
        self._connection = connection
        self._sample.reset()
        self._rows = sample.rows()

    def send(self, place: Place, text: str) -> RawAnswer:
        parameters = place.with_text(parameters_of(place.operation, self._sample.parameters), text)
        request = signed(self._sample.url, ADMIN, sent("iam", place.operation, parameters).body)
        answer = checked(self._connection.send(request), place.operation)
        now = self._sample.rows()
        if answer.status != 200 or IAM.operations[place.operation].reads:
            assert now == self._rows, (place.name, text)
        elif now != self._rows:
            assert theirs(now) == theirs(self._rows), (place.name, text)
            self._sample.reset()
            self._rows = self._sample.rows()
        return answer


@pytest.mark.parametrize("operation", sorted({place.operation for place in PLACES}))
def test_attack_strings_are_plain_text(sample_session: SampleServer, connection: Connection, operation: str) -> None:
    """Each in every parameter."""
    sender = Sender(sample_session, connection)
    for place in PLACES:
        if place.operation == operation:
            start = zlib.crc32(place.name.encode())
            for step in range(ATTACKS_EACH):
                sender.send(place, ATTACKS[(start + step * 47) % len(ATTACKS)])


def test_random_strings_are_plain_text(sample_session: SampleServer, connection: Connection) -> None:
    """In every parameter."""
    sender = Sender(sample_session, connection)

    @thorough
    @given(st.sampled_from(PLACES), TEXTS)
    def holds(place: Place, text: str) -> None:
        sender.send(place, text)

    holds()


# --- other accounts ----------------------------------------------------------------------------------------------

NAMING = """
    AccessKeyId Arn CertificateId JobId OpenIDConnectProviderArn PermissionsBoundary PolicyArn PolicySourceArn
    SAMLProviderArn SSHPublicKeyId SerialNumber ServiceSpecificCredentialId
""".split()
"""The members that name something by what no other account has."""
FOREIGN = [place.name.split(".") for place in PLACES if place.name.partition(".")[2] in NAMING]


@pytest.mark.parametrize(("operation", "member"), FOREIGN)
def test_foreign_entities_are_not_found(
    sample_session: SampleServer, connection: Connection, operation: str, member: str
) -> None:
    """By ARN or unique id: rejected, revealing and changing nothing in either account."""
    sample_session.reset()
    before, given_here = sample_session.rows(), parameters_of(operation, sample_session.parameters)
    assert sample_session.other_parameters[member] != given_here.get(member)
    parameters = given_here | {member: sample_session.other_parameters[member]}
    request = signed(sample_session.url, ADMIN, sent("iam", operation, parameters).body)
    answer = checked(connection.send(request), operation)
    assert answer.code in ("NoSuchEntity", "InvalidInput", "AccessDenied"), answer
    assert sample_session.rows() == before
