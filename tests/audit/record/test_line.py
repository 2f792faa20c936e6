"""The joined line of a decision equals the record's line, byte for byte, for any content."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.audit.record import line
from iam_guard.audit.record.line import decision_line
from iam_guard.audit.record.record import MAX_REASONS, Stamp, decision_record
from iam_guard.audit.record.redaction import to_line
from iam_guard.evaluation.authorizer import compile_policies
from iam_guard.evaluation.explainer import NoPoliciesExplainer
from iam_guard.model.decision import Decision, Outcome, PolicyRef, PolicyType, Reason
from iam_guard.model.principal import Credential, Issued, Principal, PrincipalType
from iam_guard.model.request import AccessRequest, Call
from tests.tables import table

Decide = Callable[..., Decision]

ACCOUNT, OTHER = "111122223333", "444455556666"
ADA = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ada", userid="AIDAEXAMPLE")
SESSION = replace(
    Principal.from_arn(f"arn:aws:sts::{ACCOUNT}:assumed-role/Reader/carol", userid="AROAEXAMPLE:carol"),
    session={"aws:TokenIssueTime": "2026-05-04T03:00:00Z"},
    credential=Credential("sigv4", "ASIAIOSFODNN7EXAMPLE"),
)
FEDERATED = Principal.from_arn(f"arn:aws:sts::{ACCOUNT}:federated-user/dave")
STAMP = Stamp(datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC), "e-1")
ISSUED = Issued(datetime(2026, 5, 4, 3, tzinfo=UTC), datetime(2026, 5, 4, 4, tzinfo=UTC))

# --- strategies for every part of a decision -----------------------------------------------------------------------

KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PIECES = (
    *(
        "igk_",
        "igst_",
        "Bearer ",
        "hunter2",
        "authorization",
        ":",
        "token",
        "=",
        "eyJ",
        "abcdefgh.ij",
        "://",
        "alice:pw",
        "@",
    ),
    *(KEY, KEY[:20], KEY[20:], '"digest":"', '","digest":"', "0a" * 32, '"', "\\", "/", "?", "-", " "),
    *("\x00", "\n", "\x7f", "\u2028", "\u202e", "\xe9", "\u212a", "\U0001f600", "\ud83d", "\ude00"),
)
"""Secrets, halves of them, strings that resemble parts of the line, and characters that must be escaped."""

tame = st.text('aZ9 "\\/-?\n\x00\x7f\xe9\u2028', max_size=8) | st.sampled_from((ACCOUNT, OTHER, "docs", "GET", "Get"))
odd = st.one_of(
    tame,
    st.lists(st.sampled_from(PIECES), max_size=6).map("".join),
    st.text(max_size=20),
    st.builds(lambda piece, times: piece * times, st.sampled_from((*PIECES, "- ")), st.integers(100, 3000)),
)
numbers = st.none() | st.integers(0, 99)


def callers(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Principal]:
    some = st.none() | texts
    session = st.dictionaries(
        st.sampled_from(("aws:TokenIssueTime", "aws:MultiFactorAuthPresent", "aws:SourceIdentity", "aws:AssumedRoot")),
        texts | st.booleans() | st.just(datetime(2026, 5, 4, tzinfo=UTC)),
    )
    moments = st.datetimes(timezones=st.just(UTC))
    issued = st.builds(Issued, moments, moments, source_identity=some, mfa_at=st.none() | moments)
    return st.builds(
        Principal,
        *(st.sampled_from(PrincipalType), texts.map("arn:aws:iam::1:user/{}".format), some, some, some, some),
        session=session,
        credential=st.none()
        | st.builds(Credential, st.sampled_from(("sigv4", "sts", "api-key")) | texts, some, issued=st.none() | issued),
    )


def reasons(texts: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[Reason, ...]]:
    some, kinds = st.none() | texts, st.sampled_from(PolicyType)
    digests = st.sampled_from((None, "0a" * 32)) | texts
    policies = st.none() | st.builds(PolicyRef, texts, kinds, some, digests)
    one = st.builds(Reason, kinds, st.sampled_from((None, "Allow", "Deny")), policies, numbers, some, numbers, some)
    many = st.integers(0, MAX_REASONS + 2).map(lambda count: [Reason(PolicyType.IDENTITY)] * count)
    return (st.lists(one, max_size=2) | many).map(tuple)


def decisions(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Decision]:
    resources = st.just("*") | texts | texts.map(f"arn:aws:docs:us-east-1:{ACCOUNT}:document/{{}}".format)
    actions = st.builds("{}:{}".format, st.sampled_from(("docs", "iam")) | texts, texts)
    requests = st.builds(
        AccessRequest, st.just(ADA) | callers(texts), actions, resources, resource_account=st.none() | texts
    )
    errors = st.sampled_from((None, None, None)) | texts
    keys = st.sampled_from(("aws:SourceIp", "aws:TagKeys", "docs:owner", "aws:Referer")) | texts
    values = st.none() | texts | st.lists(texts, max_size=3)
    requests = st.builds(having_read, requests, st.just({}) | st.dictionaries(keys, values, max_size=4))
    return st.builds(
        lambda outcome, request, why, epoch, stale, error, made_by: Decision(
            outcome, request, why, epoch, stale, None if outcome is Outcome.ALLOWED else error, made_by
        ),
        *(st.sampled_from(Outcome), requests, reasons(texts), numbers, st.booleans(), errors),
        st.sampled_from((None, NoPoliciesExplainer(), compile_policies(), compile_policies(session=[]))),
    )


def having_read(request: AccessRequest, read: dict[str, Any]) -> AccessRequest:
    for key, value in read.items():
        request.read[key.lower()] = tuple(value) if isinstance(value, list) else value
    return request


def calls(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Call | None]:
    some = st.none() | texts
    return st.none() | st.builds(Call, texts, st.just("http"), *[some] * 6, st.booleans(), texts)


def stamps(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Stamp]:
    moments = st.integers(0, 10**10).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
    return st.builds(Stamp, moments, texts, texts, st.none() | texts, st.none() | texts)


durations = st.none() | st.floats(0, 100)


def agree(decision: Decision, call: Call | None, stamp: Stamp = STAMP, duration: float | None = None) -> None:
    assert decision_line(decision, call, stamp, duration=duration) == to_line(
        decision_record(decision, call, stamp, duration=duration)
    )


@given(decisions(odd), calls(odd), stamps(odd), durations)
def test_line_equals_the_record_for_any_string(
    decision: Decision, call: Call | None, stamp: Stamp, duration: float | None
) -> None:
    """Masked, truncated and written as in the record, uncached and cached."""
    agree(decision, call, stamp, duration)
    agree(decision, call, stamp, duration)


@given(decisions(tame), calls(tame), stamps(tame), durations)
def test_joined_line_equals_the_record(
    decision: Decision, call: Call | None, stamp: Stamp, duration: float | None
) -> None:
    """With strings that need no masking, so that most lines are joined."""
    agree(decision, call, stamp, duration)
    agree(decision, call, stamp, duration)


CALL = Call("r-1", "http", "GET", "/x", "docs.example.org", "203.0.113.7", "Boto3/1", secure=True)
PLAIN = Decision(
    Outcome.ALLOWED,
    AccessRequest(ADA, "docs:GetDocument", "*"),
    (Reason(PolicyType.IDENTITY, "Allow"),),
)

IN_CALL = ("request_id", "method", "path", "host", "source_ip", "user_agent", "region")
IN_STAMP = ("event_id", "region of the trail", "trace_id", "span_id")
IN_DECISION: dict[str, Callable[[str], Decision]] = {
    "resource": lambda text: _with(resource=text),
    "resource of a denial": lambda text: replace(_with(resource=text), outcome=Outcome.IMPLICITLY_DENIED),
    "owner": lambda text: _with(resource_account=text),
    "action": lambda text: _with(action=f"docs:{text}"),
    "account of an anonymous caller": lambda text: _with(principal=replace(Principal.anonymous(), account=text)),
    "name of the caller": lambda text: _with(principal=replace(ADA, arn=ADA.arn + text)),
    "credential id": lambda text: _with(principal=replace(ADA, credential=Credential("sigv4", text))),
    "session": lambda text: _with(principal=replace(SESSION, session={"aws:SourceIdentity": text})),
    "policy": lambda text: replace(PLAIN, reasons=(Reason(PolicyType.SCP, None, PolicyRef(text, PolicyType.SCP)),)),
    "digest": lambda text: replace(
        PLAIN, reasons=(Reason(PolicyType.SCP, None, PolicyRef("P", PolicyType.SCP, digest=text)),)
    ),
}
PLACES = (*IN_CALL, *IN_STAMP, *IN_DECISION)


def planted(place: str, value: str) -> tuple[Decision, Call | None, Stamp]:
    """Put a string into one of the places that a record is made from."""
    text: Any = value
    if place in IN_CALL:
        return PLAIN, CALL._replace(**{place: text}), STAMP
    if place in IN_STAMP:
        return PLAIN, None, replace(STAMP, **{place.removesuffix(" of the trail"): text})
    return IN_DECISION[place](text), CALL, STAMP


def _with(**changes: Any) -> Decision:
    return replace(PLAIN, request=replace(PLAIN.request, **changes))


@table("place", PLACES)
@table("text", ["igk_hunter2", f"Bearer {KEY}", "x token=hunter2", KEY, "\ud800", "x" * 5000, "", "é?x"])
def test_one_unusual_string_gives_the_records_line(place: str, text: str) -> None:
    """A string that is masked or truncated in the record is treated the same in the line."""
    agree(*planted(place, text))
    agree(*planted(place, text))


@given(st.sampled_from(PLACES), odd)
def test_any_string_in_one_place_gives_the_records_line(place: str, text: str) -> None:
    """With any string, including halves of secrets and parts of lines."""
    agree(*planted(place, text))
    agree(*planted(place, text))


fragments = st.text("abcXYZ019+/", min_size=1, max_size=39)


@given(st.builds(Call, fragments, fragments, *[fragments] * 6, st.booleans(), fragments))
def test_strings_that_form_a_secret_only_jointly_are_kept(call: Call) -> None:
    """A secret is within one string: JSON separates two strings by characters that no secret has."""
    decision = Decision(Outcome.ALLOWED, AccessRequest(ADA, "docs:GetDocument", "*"), ())
    agree(decision, call)
    assert b"redacted" not in decision_line(decision, call, STAMP)


@pytest.mark.parametrize("first", ["token", "igk_", "Bearer", "://", "AKIA/", KEY[:20]])
def test_secret_split_between_two_fields_gives_the_records_line(first: str, decide: Decide, call: Call) -> None:
    """One field ends with the start of a secret, and the next starts with its end."""
    for second in ("=hunter2", "hunter2", " hunter2", "a:pw@", KEY[20:]):
        agree(decide(), call._replace(source_ip=first, user_agent=second))
        agree(decide(), call._replace(method=first, path=second, host=second))
        agree(decide(resource=first), call._replace(request_id=second))


@table("count", [0, 1, MAX_REASONS, MAX_REASONS + 1])
def test_any_number_of_reasons_gives_the_records_line(count: int) -> None:
    """Surplus reasons are counted in both."""
    agree(replace(PLAIN, reasons=PLAIN.reasons * count), CALL)


def test_non_string_value_gives_the_records_line(decide: Decide, call: Call) -> None:
    """A number instead of a string is written as in the record; both reject what JSON lacks."""
    number: Any = 7
    agree(decide(), call._replace(request_id=number))
    agree(decide(), call._replace(source_ip=number))
    unserializable: Any = object()
    with pytest.raises(TypeError, match="not JSON serializable"):
        decision_line(decide(), call._replace(host=unserializable), STAMP)


# --- joined lines --------------------------------------------------------------------------------------------------


ORDINARY: dict[str, Decision] = {
    "user": Decision(
        Outcome.ALLOWED,
        AccessRequest(ADA, "docs:GetDocument", f"arn:aws:docs:us-east-1:{ACCOUNT}:document/7"),
        (Reason(PolicyType.IDENTITY, "Allow", PolicyRef("Read", PolicyType.IDENTITY, None, "0a" * 32), 0, "Read", 5),),
        epoch=42,
    ),
    "cross-account session": Decision(
        Outcome.ALLOWED,
        AccessRequest(SESSION, "docs:GetDocument", f"arn:aws:docs:us-east-1:{OTHER}:document/7"),
        (Reason(PolicyType.RESOURCE, "Allow"), Reason(PolicyType.IDENTITY, "Allow")),
    ),
    "implicit denial": Decision(
        Outcome.IMPLICITLY_DENIED, AccessRequest(ADA, "iam:CreateUser", "*"), (Reason(PolicyType.IDENTITY),), stale=True
    ),
    "explicit denial": Decision(
        Outcome.EXPLICITLY_DENIED, AccessRequest(ADA, "docs:X", "*"), (Reason(PolicyType.SCP, "Deny", statement=1),)
    ),
    "anonymous": Decision(Outcome.IMPLICITLY_DENIED, AccessRequest(Principal.anonymous(), "docs:X", "*"), ()),
}


@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.parametrize("with_call", [True, False])
def test_ordinary_decision_is_joined_without_a_record(
    name: str, with_call: bool, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For everyday decisions no record is made, and the line is that of the record."""
    facts = call if with_call else None
    agree(ORDINARY[name], facts, replace(STAMP, trace_id="0a" * 16, span_id="0b" * 8), 12e-6)
    monkeypatch.setattr(line, "decision_record", lambda *_, **__: pytest.fail("a record was made"))
    assert decision_line(ORDINARY[name], facts, STAMP)


# --- cached parts --------------------------------------------------------------------------------------------------


def test_callers_with_one_difference_have_different_lines(call: Call) -> None:
    """A cached part is reused only for a caller whose serialized values are all equal."""
    plain = replace(ADA, credential=Credential("sigv4", "AKIAIOSFODNN7EXAMPLE"))
    callers = [
        plain,
        replace(plain, type=PrincipalType.ROOT),
        replace(plain, arn=f"arn:aws:iam::{ACCOUNT}:user/eve"),
        replace(plain, account=OTHER),
        replace(plain, userid="AIDAOTHER"),
        replace(plain, userid=None),
        replace(plain, credential=None),
        replace(plain, credential=Credential("sigv4", "AKIAOTHER")),
        replace(plain, credential=Credential("api-key", "AKIAIOSFODNN7EXAMPLE")),
        replace(plain, credential=Credential("session", "AKIAIOSFODNN7EXAMPLE", issued=ISSUED)),
        replace(SESSION, session={}),
        replace(SESSION, session={}, role_arn=f"arn:aws:iam::{ACCOUNT}:role/Writer"),
        replace(FEDERATED, user_arn=f"arn:aws:iam::{ACCOUNT}:user/a"),
        replace(FEDERATED, user_arn=f"arn:aws:iam::{ACCOUNT}:user/b"),
        *(
            replace(caller, session={}, credential=Credential("sts", "ASIAIOSFODNN7EXAMPLE", issued=issued))
            for caller in (plain, SESSION, FEDERATED)
            for issued in (None, ISSUED, replace(ISSUED, source_identity="carol"), replace(ISSUED, mfa_at=STAMP.time))
        ),
        SESSION,
        replace(SESSION, session={"aws:SourceIdentity": "carol"}),
        replace(SESSION, session={"aws:SourceIdentity": "dave"}),
        replace(SESSION, session={"aws:MultiFactorAuthPresent": True}),
        replace(SESSION, role_arn=f"arn:aws:iam::{ACCOUNT}:role/Writer"),
    ]
    line._CALLERS._parts.clear()
    for caller in callers * 2:
        agree(Decision(Outcome.ALLOWED, AccessRequest(caller, "docs:GetDocument", "*"), ()), call)


def test_part_of_a_deleted_object_is_not_reused(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions and reasons that get the `id` of deleted ones have their own lines."""
    monkeypatch.setattr(line, "MAX_CACHED", 3)
    for number in range(500):
        caller = replace(SESSION, session={"aws:SourceIdentity": str(number)})
        reasons = (Reason(PolicyType.IDENTITY, "Allow", statement=number),)
        agree(Decision(Outcome.ALLOWED, AccessRequest(caller, "docs:GetDocument", "*"), reasons), call)


def test_part_cache_has_a_maximum_size(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "MAX_CACHED", 10)
    cache: line._PartCache[object] = line._PartCache(lambda thing: {"id": id(thing)})
    things = [object() for _ in range(35)]
    assert [cache.text(thing) for thing in things] == [f'{{"id":{id(thing)}}}' for thing in things]
    assert len(cache._parts) <= 10


@table("text", ["igk_hunter2", KEY, "Bearer hunter2", "\ud800", "- " * 3000])
def test_long_or_suspicious_part_is_not_cached(text: str) -> None:
    """It must be masked or truncated each time."""
    cache: line._PartCache[str] = line._PartCache(lambda thing: {"x": thing})
    assert cache.text(text) is None
    assert [part for _, part in cache._parts.values()] == [None]


def test_threads_get_the_lines_of_their_own_callers(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Concurrent filling and clearing of the cache does not mix parts."""
    monkeypatch.setattr(line, "MAX_CACHED", 5)
    wrong: list[str] = []

    def work(first: int) -> None:
        for number in range(first, first + 300):
            caller = replace(ADA, arn=f"arn:aws:iam::{ACCOUNT}:user/u{number % 7}")
            decision = Decision(Outcome.ALLOWED, AccessRequest(caller, "docs:GetDocument", "*"), ())
            if f'user/u{number % 7}"'.encode() not in decision_line(decision, call, STAMP):
                wrong.append(caller.arn)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
