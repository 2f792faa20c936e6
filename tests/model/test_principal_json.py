"""Principals as JSON-compatible objects, pickled and copied: nothing is lost, and nothing unexpected is read."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.errors import ContextError, IamGuardError, InvalidInput
from iam_guard.model.principal import Credential, CredentialKind, Issued, Principal, PrincipalType
from iam_guard.model.used_credential import Envelope
from tests.laws.odd import ODD_VALUES, TEXTS, nearly
from tests.tables import table

A = "111122223333"
ROLE = f"arn:aws:iam::{A}:role/eng/r"
NOON = datetime(2026, 11, 24, 12, 30, 15, 250_001, tzinfo=UTC)
ADA = Principal.from_arn(f"arn:aws:iam::{A}:user/ada", userid="AIDA1")
FULL = replace(
    Principal.from_arn(
        f"arn:aws:sts::{A}:assumed-role/r/s",
        role_arn=ROLE,
        userid="AROA1:s",
        tags={"team": "blue"},
        session_policies=("{}", "{ }"),
        has_boundary=True,
    ),
    session={"aws:FederatedProvider": "p", "amr": ("mfa", "pwd"), "aws:AssumedRoot": True},
    credential=Credential(
        "sts",
        "ASIA1",
        "us-east-1",
        "docs",
        Issued(NOON, NOON + timedelta(hours=1), ("team",), "ada", NOON, "AKIA1"),
        "docs.example",
        Envelope("e1", NOON),
    ),
)
FULL_MEMBERS: dict[str, Any] = json.loads(json.dumps(FULL.to_dict()))

_names = TEXTS.map(lambda text: text.replace("/", "")).filter(bool)
_optional = st.none() | TEXTS
_moments = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))
_scalars = (
    TEXTS
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3)
    | st.datetimes(timezones=st.just(UTC))
    | st.binary(max_size=20)
    | st.ip_addresses()
)
_keys = st.dictionaries(
    TEXTS.map("custom:".__add__), st.none() | _scalars | st.lists(_scalars, max_size=3).map(tuple), max_size=4
)
_issued = st.builds(Issued, _moments, _moments, st.lists(TEXTS, max_size=2).map(tuple), _optional, st.none() | _moments)
_credentials = st.none() | st.builds(
    Credential, st.sampled_from(get_args(CredentialKind)), _optional, _optional, _optional, st.none() | _issued
)


@st.composite
def principals(draw: st.DrawFn) -> Principal:
    """Draw a principal of any type with any content."""
    name, other = draw(_names), draw(_names)
    made = {
        PrincipalType.ROOT: f"arn:aws:iam::{A}:root",
        PrincipalType.USER: f"arn:aws-cn:iam::{A}:user/eng/{name}",
        PrincipalType.ASSUMED_ROLE: f"arn:aws:sts::{A}:assumed-role/{name}/{other}",
        PrincipalType.FEDERATED_USER: f"arn:aws:sts::{A}:federated-user/{name}",
        PrincipalType.FEDERATED: f"arn:aws:iam::{A}:oidc-provider/{name}",
        PrincipalType.SERVICE: name,
        PrincipalType.ANONYMOUS: "anonymous",
    }
    kind = draw(st.sampled_from(PrincipalType))
    return Principal(
        kind,
        made[kind],
        None if kind in ("Service", "Anonymous", "Federated") else A,
        draw(st.none() | st.just(ROLE)),
        draw(st.none() | st.just(f"arn:aws:iam::{A}:root")),
        draw(_optional),
        draw(st.dictionaries(TEXTS, TEXTS, max_size=3)),
        draw(_keys),
        draw(st.none() | st.lists(TEXTS, max_size=2).map(tuple)),
        draw(st.booleans()),
        draw(_credentials),
    )


def assert_same(found: Principal, principal: Principal) -> None:
    """Compare every field, since `==` leaves out the credential and the session's keys."""
    for field in fields(Principal):
        if field.init:
            values = getattr(found, field.name), getattr(principal, field.name)
            assert values[0] == values[1], field.name
    assert hash(found) == hash(principal)
    typed = [[(key, type(value)) for key, value in item.session.items()] for item in (found, principal)]
    assert typed[0] == typed[1]


@given(principals())
def test_every_principal_round_trip_loses_nothing(principal: Principal) -> None:
    """`from_dict` is the inverse of `to_dict`, also through JSON, and a pickle or copy is the same principal."""
    for made in (pickle.loads(pickle.dumps(principal)), copy.copy(principal), copy.deepcopy(principal)):  # noqa: S301
        assert_same(made, principal)
    members = json.loads(json.dumps(principal.to_dict(), ensure_ascii=False))  # escapes would join two surrogates
    try:
        keys = dict(principal.condition_keys)
    except ContextError:
        with pytest.raises(ContextError):
            Principal.from_dict(members)
        return
    for found in (Principal.from_dict(members), Principal.from_dict(principal.to_dict())):
        assert_same(found, principal)
        assert dict(found.condition_keys) == keys


def test_full_principal_has_these_members() -> None:
    """The format: a change of it is a new version."""
    assert {
        "version": 1,
        "type": "AssumedRole",
        "arn": f"arn:aws:sts::{A}:assumed-role/r/s",
        "account": A,
        "role_arn": ROLE,
        "userid": "AROA1:s",
        "tags": {"team": "blue"},
        "session": {"aws:FederatedProvider": "p", "amr": ["mfa", "pwd"], "aws:AssumedRoot": True},
        "session_policies": ["{}", "{ }"],
        "has_boundary": True,
        "credential": {
            "kind": "sts",
            "id": "ASIA1",
            "region": "us-east-1",
            "service": "docs",
            "issued": {
                "issued": "2026-11-24T12:30:15.250001+00:00",
                "expires": "2026-11-24T13:30:15.250001+00:00",
                "transitive_tag_keys": ["team"],
                "source_identity": "ada",
                "mfa_at": "2026-11-24T12:30:15.250001+00:00",
                "parent_key_id": "AKIA1",
            },
            "host": "docs.example",
            "envelope": {"id": "e1", "expires": "2026-11-24T12:30:15.250001+00:00"},
        },
    } == FULL_MEMBERS
    assert_same(Principal.from_dict(FULL_MEMBERS), FULL)


def test_form_without_a_field_of_the_classes_fails() -> None:
    """A field that is added to a class must be serialized, too."""
    assert set(FULL_MEMBERS) == {field.name for field in fields(Principal) if field.init} - {"user_arn"} | {"version"}
    credential = FULL_MEMBERS["credential"]
    assert set(credential) == {field.name for field in fields(Credential)}
    assert set(credential["issued"]) == {field.name for field in fields(Issued)}
    assert set(credential["envelope"]) == {field.name for field in fields(Envelope)}


def test_typed_condition_keys_keep_their_types() -> None:
    """The values of a session's keys have the types that operators and reports see."""
    session = {
        "a:when": NOON,
        "a:number": 7,
        "a:share": 0.5,
        "a:price": Decimal("1.50"),
        "a:digest": b"\x00\xff",
        "a:address": ip_address("10.0.0.1"),
        "a:absent": None,
        "a:all": (True, "x", NOON),
    }
    members = json.loads(json.dumps(replace(ADA, session=session).to_dict()))
    assert members["session"]["a:price"] == {"decimal": "1.50"}
    assert Principal.from_dict(members).session == session


def test_unsupported_condition_key_value_is_not_serialized() -> None:
    """What no decision could use raises, and is not lost silently."""
    with pytest.raises(ContextError, match="expected a finite number"):
        replace(ADA, session={"a:b": float("nan")}).to_dict()


def _with(path: str, value: object) -> dict[str, Any]:
    """Return the full members with another value at a path; without it for `...`."""
    members = copy.deepcopy(FULL_MEMBERS)
    *parents, name = path.split(".")
    at = members
    for parent in parents:
        at = at[parent]
    if value is ...:
        del at[name]
    else:
        at[name] = value
    return members


@table(
    ("members", "message"),
    [
        pytest.param([], "expected a principal as an object, got `list`", id="list"),
        pytest.param({}, "expected a principal of version 1, got another value", id="empty"),
        pytest.param(_with("version", 2), "version 1, got a later one (at /version)", id="later version"),
        pytest.param(_with("version", 10**5000), "version 1, got a later one", id="long version"),
        pytest.param(_with("version", True), "version 1, got another value", id="version that is a boolean"),
        pytest.param(_with("version", "1"), "version 1, got another value", id="version that is a string"),
        pytest.param(_with("admin", True), "got `admin` (at /)", id="unknown member"),
        pytest.param(_with("credential.secret", "x"), "got `secret` (at /credential)", id="unknown nested member"),
        pytest.param(_with("arn", ...), "expected the member arn", id="no ARN"),
        pytest.param(_with("arn", 7), "expected a string, got `int` (at /arn)", id="ARN that is a number"),
        pytest.param(_with("arn", "ada"), "expected the ARN of a principal", id="ARN that is a name"),
        pytest.param(_with("arn", f"arn:aws:iam::{A}:user/s"), "of type AssumedRole and its", id="ARN of a user"),
        pytest.param(_with("account", "444455556666"), "of type AssumedRole and its account", id="other account"),
        pytest.param(_with("account", ...), "of type AssumedRole and its account", id="no account"),
        pytest.param(_with("role_arn", "r"), "expected an ARN of six", id="role that is a name"),
        pytest.param(_with("role_arn", f"arn:aws:s3::{A}:role/r"), "at /role_arn", id="role of another service"),
        pytest.param(_with("user_arn", f"arn:aws:sts::{A}:x"), "at /user_arn", id="user of another service"),
        pytest.param(_with("type", "Admin"), "got `Admin` (at /type)", id="unknown type"),
        pytest.param(_with("type", "Root"), "of type Root and its account", id="type of another ARN"),
        pytest.param(_with("type", "Service"), "expected no account of a principal", id="service with an account"),
        pytest.param(_with("tags", ["a"]), "expected an object, got `list` (at /tags)", id="tags in a list"),
        pytest.param(_with("tags.team", 1), "expected a string, got `int` (at /tags)", id="tag that is a number"),
        pytest.param(_with("tags.TEAM", "red"), "differ by letter case only", id="two cases of a tag"),
        pytest.param(_with("has_boundary", 1), "expected a boolean", id="boundary that is a number"),
        pytest.param(_with("session_policies", "{}"), "expected an array", id="policy that is a string"),
        pytest.param(_with("session_policies", [None]), "at /session_policies/0", id="policy that is null"),
        pytest.param(_with("session.a:b", {"price": "1"}), "one of datetime, decimal", id="unknown kind of value"),
        pytest.param(_with("session.a:b", {"decimal": "1", "x": "1"}), "one of datetime", id="two kinds of value"),
        pytest.param(_with("session.a:b", {"decimal": "x"}), "of the kind decimal", id="no decimal"),
        pytest.param(_with("session.a:b", {"decimal": "Infinity"}), "expected a finite number", id="infinity"),
        pytest.param(_with("session.a:b", {"bytes": "="}), "of the kind bytes", id="no base64"),
        pytest.param(_with("session.a:b", [["x"]]), "got `list` (at /session/a:b)", id="list in a list"),
        pytest.param(_with("credential.kind", "root"), "got `root` (at /credential/kind)", id="unknown credential"),
        pytest.param(_with("credential.issued.mfa_at", "now"), "expected a time such as", id="no time"),
        pytest.param(_with("credential.issued.mfa_at", "2026-11-24"), "expected a time such", id="date"),
        pytest.param(_with("credential.issued.issued", ...), "expected the member issued", id="no time of issue"),
    ],
)
def test_invalid_members_raise_a_clear_error(members: Any, message: str) -> None:
    """The reader is strict: what it does not know could restrict the principal."""
    with pytest.raises(IamGuardError) as caught:
        Principal.from_dict(members)
    assert isinstance(caught.value, (InvalidInput, ContextError))
    assert message in str(caught.value)


@given(nearly(st.just(FULL_MEMBERS), ODD_VALUES))
def test_odd_members_raise_only_our_errors(members: Any) -> None:
    """No input crashes the reader; what it accepts can be written again."""
    try:
        principal = Principal.from_dict(members)
    except (InvalidInput, ContextError):
        return
    assert_same(Principal.from_dict(principal.to_dict()), principal)


def test_copy_keeps_mappings_read_only() -> None:
    """A pickled principal is as immutable as the original."""
    found: Any = pickle.loads(pickle.dumps(FULL))  # noqa: S301
    with pytest.raises(TypeError):
        found.tags["team"] = "red"
    with pytest.raises(TypeError):
        found.session["a"] = "b"
