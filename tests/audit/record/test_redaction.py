"""The line of a record has no secret, no control character, and no more bytes than the limit, for any input."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.audit.record.list_record import list_record
from iam_guard.audit.record.permission_query_record import permission_query_record
from iam_guard.audit.record.record import Stamp, authentication_record, decision_record, error_record
from iam_guard.audit.record.redaction import MAX_LINE, mask, to_line
from iam_guard.audit.record.result_record import result_record
from iam_guard.errors import InvalidInput, MalformedRequest
from iam_guard.model.decision import Decision, Outcome, PolicyRef, PolicyType, Reason
from iam_guard.model.list_filter import ListFilter
from iam_guard.model.principal import Credential, Principal
from iam_guard.model.request import AccessRequest, Call
from iam_guard.model.result import CallResult
from tests.tables import table

Record = dict[str, object]

WORD = "hunter2hunter2"


def secret_key(seed: int) -> str:
    """Return a secret access key like those of AWS: 30 random bytes in base64."""
    return base64.b64encode(hashlib.sha256(str(seed).encode()).digest()[:30]).decode()


SECRETS = {
    "api key": (f"igk_{WORD}.{WORD}", WORD),
    "session token": (f"x-amz-security-token: igst_{WORD}-{WORD}_{WORD}", WORD),
    "bearer token": (f"Bearer {WORD}", WORD),
    "bearer token, any case, escaped blank": (f"bEaReR%20{WORD}", WORD),
    "bearer token in quotes": (f'bearer "{WORD}"', WORD),
    "authorization header": (f"Authorization: Basic {WORD}", WORD),
    "query parameter": (f"X-Amz-Security-Token={WORD}&x=1", WORD),
    "signature": (f"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/x, Signature={WORD}", WORD),
    "JSON Web Token": (f"eyJhbGciOiJIUzI1NiJ9.{WORD}.{WORD}", WORD),
    "URL with password": (f"https://alice:{WORD}@example.org/", WORD),
    "AWS's example of a secret access key": ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",) * 2,
    **{f"secret access key {seed}": (secret_key(seed),) * 2 for seed in range(40)},
}

# Every place of a record that contains strings of the caller.
PLANTS: dict[str, Callable[[str, Call, Stamp], Record]] = {
    "user agent": lambda text, call, stamp: decision_record(_decide(), call._replace(user_agent=text), stamp),
    "path": lambda text, call, stamp: decision_record(_decide(), call._replace(path="/" + text), stamp),
    "method": lambda text, call, stamp: decision_record(_decide(), call._replace(method=text), stamp),
    "host": lambda text, call, stamp: decision_record(_decide(), call._replace(host=text), stamp),
    "source address": lambda text, call, stamp: decision_record(_decide(), call._replace(source_ip=text), stamp),
    "request id": lambda text, call, stamp: decision_record(_decide(), call._replace(request_id=text), stamp),
    "referer": lambda text, call, stamp: decision_record(_decide(), call._replace(referer=text), stamp),
    "resource": lambda text, call, stamp: decision_record(_decide(resource=_arn(text)), call, stamp),
    "resource of a denial": lambda text, call, stamp: decision_record(
        _decide(Outcome.IMPLICITLY_DENIED, resource=_arn(text)), call, stamp
    ),
    "action": lambda text, call, stamp: decision_record(_decide(action=f"docs:{text}"), call, stamp),
    "action of an error": lambda text, call, stamp: error_record(
        InvalidInput("bad"), call, stamp, action=f"docs:{text}"
    ),
    "whole action": lambda text, call, stamp: decision_record(_decide(action=text), call, stamp),
    "whole action of an error": lambda text, call, stamp: error_record(InvalidInput("bad"), call, stamp, action=text),
    "name of a parameter": lambda text, call, stamp: result_record(
        CallResult(action="iam-guard:PutThing", parameters={"things": {text: "x"}}),
        call,
        stamp,
        Principal.service("docs"),
    ),
    "parameters": lambda text, call, stamp: result_record(
        CallResult(action="iam-guard:PutThing", parameters={"things": (text, [{"a": (text,)}])}),
        call,
        stamp,
        Principal.service("docs"),
    ),
    "permission query": lambda text, call, stamp: permission_query_record(
        _tagged(""), [_decide(action=f"docs:{text}", resource=_arn(text))], call, stamp
    ),
    "action of a list": lambda text, call, stamp: list_record(_list(action=f"docs:{text}"), call, stamp),
    "resource type of a list": lambda text, call, stamp: list_record(_list(resource_type=text), call, stamp),
    "caller of a list": lambda text, call, stamp: list_record(_list(principal=_session(text)), call, stamp),
    "context": lambda text, call, stamp: decision_record(_decide(context={"aws:RequestTag/x": text}), call, stamp),
    "condition key that was read": lambda text, call, stamp: decision_record(
        _having_read({"aws:RequestTag/x": text}), call, stamp
    ),
    "list that was read": lambda text, call, stamp: decision_record(
        _having_read({"aws:TagKeys": ["a", text, "b"]}), call, stamp
    ),
    "name of a condition key": lambda text, call, stamp: decision_record(
        _having_read({f"aws:RequestTag/{text}": "x"}), call, stamp
    ),
    "tag": lambda text, call, stamp: decision_record(_decide(principal=_tagged(text)), call, stamp),
    "session name": lambda text, call, stamp: decision_record(_decide(principal=_session(text)), call, stamp),
    "credential id": lambda text, call, stamp: authentication_record(
        MalformedRequest("bad"), call, stamp, kind="sigv4", credential_id=text
    ),
    "error": lambda text, call, stamp: error_record(InvalidInput(f"got `{text}`", place=text), call, stamp),
    "decision error": lambda text, call, stamp: decision_record(
        replace(_decide(Outcome.IMPLICITLY_DENIED), error=f"cannot read `{text}`"), call, stamp
    ),
    "note": lambda text, call, stamp: decision_record(
        replace(_decide(), reasons=(Reason(PolicyType.SESSION, note=text),)), call, stamp
    ),
}


def _decide(outcome: Outcome = Outcome.ALLOWED, *, action: str = "docs:GetDocument", **changes: Any) -> Decision:
    principal = changes.pop("principal", Principal.from_arn("arn:aws:iam::111122223333:user/alice"))
    resource = changes.pop("resource", _arn("7"))
    return Decision(outcome, AccessRequest(principal, action, resource, **changes), (Reason(PolicyType.IDENTITY),))


def _list(**changes: Any) -> ListFilter:
    members = {"principal": _tagged(""), "action": "docs:GetDocument", "resource_type": "docs document"}
    return ListFilter(**members | changes, digest="3d" * 32, outcome="some")


def _having_read(context: dict[str, Any]) -> Decision:
    decision = _decide(context=context)
    for key in context:
        decision.request.value(key.lower())
    return decision


def _arn(document: str) -> str:
    return f"arn:aws:docs:us-east-1:111122223333:document/{document}"


def _tagged(text: str) -> Principal:
    return Principal.from_arn("arn:aws:iam::111122223333:user/alice", tags={"note": text})


def _session(text: str) -> Principal:
    session = Principal.from_arn("arn:aws:sts::111122223333:assumed-role/Reader/name")
    return replace(session, arn=session.arn.removesuffix("name") + text, userid=f"AROAEXAMPLE:{text}")


def pairs(places: Iterable[str], others: Iterable[str]) -> list[tuple[str, str]]:
    """Return each place with one of the others and each of the others at two places; the law below draws the rest."""
    places, others = list(places), list(others)
    return [(place, others[0]) for place in places] + [(place, other) for other in others for place in places[:2]]


@table(("place", "secret"), pairs(PLANTS, SECRETS))
def test_planted_secret_never_appears(place: str, secret: str, stamp: Stamp, call: Call) -> None:
    """In any string of the caller, alone or within other text."""
    planted, hidden = SECRETS[secret]
    for text in (planted, f"before {planted} after", f"x/{planted}"):
        line = to_line(PLANTS[place](text, call, stamp))
        assert hidden.encode() not in line.replace(b"\\/", b"/")


@given(
    place=st.sampled_from(sorted(PLANTS)),
    secret=st.sampled_from(sorted(SECRETS)),
    before=st.text(max_size=30),
    after=st.text(max_size=30),
    padding=st.sampled_from((0, 400, 990, 3900, 4040, 4080, 4300, 9000)),
    more=st.integers(0, 70),
)
def test_planted_secret_never_appears_at_a_truncation_point(
    place: str, secret: str, before: str, after: str, padding: int, more: int
) -> None:
    """No part of a secret stays where a long string is truncated."""
    planted, hidden = SECRETS[secret]
    call, stamp = Call("r-1", method="GET", path="/"), Stamp(datetime(2026, 5, 4, tzinfo=UTC), "e-1")
    text = "-" * (padding + more) + f"{before} {planted} {after}"
    line = to_line(PLANTS[place](text, call, stamp))
    assert hidden[: len(hidden) // 2 + 4].encode() not in line


@table("more", range(0, 120, 3))
def test_masking_does_not_pull_in_half_a_secret(more: int, stamp: Stamp, call: Call) -> None:
    """A mask that shortens a long string moves unsearched text into the limit; it may contain half a secret."""
    key = secret_key(3)
    agent = "igk_" + "x" * 300 + " " + "-" * (3985 + more) + " " + key + " " + "-" * 1000
    assert key[:8].encode() not in to_line(decision_record(_decide(), call._replace(user_agent=agent), stamp))


def test_ordinary_record_is_searched_only_once(stamp: Stamp, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its policy digest does not look suspicious."""
    policy = PolicyRef("P", PolicyType.IDENTITY, "arn:aws:iam::111122223333:policy/P", "0a" * 32)
    decision = replace(_decide(), reasons=(Reason(PolicyType.IDENTITY, "Allow", policy),))
    monkeypatch.setattr("iam_guard.audit.record.redaction._Scrubber", lambda _: pytest.fail("processed"))
    assert to_line(decision_record(decision, call, stamp))


def test_long_string_is_truncated_at_4096_bytes(stamp: Stamp, call: Call) -> None:
    """Even if the whole line would fit."""
    line = to_line(decision_record(_decide(), call._replace(user_agent="- " * 3000), stamp))
    record = json.loads(line)
    assert 3500 < len(record["userAgent"]) <= 4096
    assert record["iamGuard"]["truncated"] == ["/userAgent"]


def test_random_secret_keys_are_masked() -> None:
    """At least 99.9 % of 20,000, also at the end of a path."""
    keys = [secret_key(seed) for seed in range(20_000)]
    assert sum(key not in mask(f"/documents/{key}") for key in keys) >= 19_980


@table(
    "text",
    [
        "arn:aws:docs:us-east-1:111122223333:document/0198c3a2-7a5f-7e31-9df1-6c1c2f3b8a55",
        "arn:aws:docs:us-east-1:111122223333:commit/da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "arn:aws:docs:us-east-1:111122223333:secret:production/database",
        "folder/Reports/2026/Quarter1/Finance/Sum",
        "Reports/Quarter1/FinanceDepartment/Years",
        "arn:aws:sts::111122223333:assumed-role/Reader/AKIAIOSFODNN7EXAMPLE",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Boto3/1.40.1 md/Botocore#1.40.1 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.11.7 cfg/retry-mode#legacy",
        "0a" * 32,
    ],
)
def test_ordinary_string_is_not_masked(text: str) -> None:
    """Names, digests and user agents are evidence."""
    assert mask(text) == text


def test_masked_names_stay_distinguishable(stamp: Stamp, call: Call) -> None:
    """Two resources that look like keys have different masks; the same one has the same mask."""
    one, again, other = (mask(_arn(secret_key(seed))) for seed in (1, 1, 2))
    assert one == again != other
    assert one.startswith(_arn("[redacted:"))


@given(st.text() | st.from_regex(r"(?s)(igk_|bearer |token=|eyJ|://|authorization:).{0,40}", fullmatch=False))
def test_quick_search_finds_everything_that_mask_changes(text: str) -> None:
    written = json.loads(to_line({"userAgent": text}))
    assert written["userAgent"] == mask(text)
    assert ("iamGuard" in written) is (mask(text) != text)


def test_key_next_to_a_policy_digest_is_masked(stamp: Stamp, call: Call) -> None:
    """Also if it imitates a digest."""
    policy = PolicyRef("P", PolicyType.IDENTITY, digest=hashlib.sha256(b"").hexdigest())
    plain = replace(_decide(), reasons=(Reason(PolicyType.IDENTITY, "Allow", policy),))
    assert policy.digest is not None
    assert policy.digest.encode() in to_line(decision_record(plain, call, stamp))
    for agent in (secret_key(1), f'"digest":"{secret_key(1)}"', f'x","digest":"{secret_key(1)}'):
        line = to_line(decision_record(plain, call._replace(user_agent=agent), stamp))
        assert secret_key(1).encode() not in line
        assert policy.digest.encode() in line


HOSTILE = "\x00\x07\n\r\x1b[2J\x7f\x85\x9b\u2028\u2029\u202e\ud800\U0001f600\"\\','"


@table("place", PLANTS)
def test_control_characters_cannot_forge_a_line(place: str, stamp: Stamp, call: Call) -> None:
    """A record is one line of printable ASCII and parses as valid UTF-8 for any string (log injection)."""
    line = to_line(PLANTS[place](HOSTILE, call, stamp))
    assert line.endswith(b"\n")
    assert all(0x20 <= byte < 0x80 for byte in line[:-1])
    json.dumps(json.loads(line), ensure_ascii=False).encode("utf-8")


@table(("place", "letter"), pairs(PLANTS, ["a", '"', "\x00", "\U0001f600", "\ud800", " igk_x", "://a@", "A/b1"]))
def test_megabyte_string_is_truncated_and_listed(place: str, letter: str, stamp: Stamp, call: Call) -> None:
    line = to_line(PLANTS[place](letter * (1024 * 1024 // len(letter)), call, stamp))
    assert len(line) <= MAX_LINE
    extension = json.loads(line)["iamGuard"]
    if place in ("condition key that was read", "list that was read", "name of a condition key"):
        assert extension.get("omittedConditions") or extension["conditions"][0]["withheld"]
    elif place in ("parameters", "name of a parameter"):
        assert json.loads(line)["requestParameters"] == {"things": {"omitted": True}}
    else:
        assert place in ("referer", "context", "tag") or extension["truncated"]


def test_record_with_only_long_strings_fits_the_limit(stamp: Stamp) -> None:
    """Every string is 100,000 escaped characters; the facts are still present."""
    flood = "\U0001f600" * 100_000
    policy = PolicyRef(flood, PolicyType.IDENTITY, flood, "0a" * 32)
    reasons = tuple(Reason(PolicyType.IDENTITY, "Deny", policy, 0, flood, 1, flood) for _ in range(500))
    principal = replace(
        _session(flood),
        role_arn="arn:aws:iam::111122223333:role/" + flood,
        session={"aws:SourceIdentity": flood, "aws:TokenIssueTime": flood, "aws:MultiFactorAuthPresent": flood},
        credential=Credential("sigv4", flood),
    )
    request = AccessRequest(principal, f"{flood}:{flood}", _arn(flood), resource_account="111122223333")
    decision = Decision(Outcome.EXPLICITLY_DENIED, request, reasons, error=flood)
    call = Call(flood, method=flood, path=flood, host=flood, source_ip=flood, user_agent=flood, secure=True)
    for number in range(100):
        request.read[f"aws:requesttag/{number}"] = flood[:number] if number % 2 else (flood[:3],) * 3
    line = to_line(decision_record(decision, call, stamp, shadow=decision))
    assert len(line) <= MAX_LINE
    record = json.loads(line)
    assert record["iamGuard"]["outcome"] == "ExplicitlyDenied"
    assert record["iamGuard"]["omittedConditions"] > 0
    assert "/userAgent" in record["iamGuard"]["truncated"]


def test_nan_is_rejected(stamp: Stamp) -> None:
    """NaN and infinity are not JSON."""
    with pytest.raises(ValueError, match="JSON compliant"):
        to_line({"x": float("nan")})


@table("text", ["AIDAEYJ7K2ABCDEFGHIJ", "arn:aws:iam::111122223333:user/eyjafjallajokull", "EYJAFJALLA-2010"])
def test_name_like_a_token_in_another_case_is_not_masked(text: str) -> None:
    """Base64 is case-sensitive; unique ids are random letters, and a masked id could not be attributed."""
    assert mask(text) == text
