"""A planted secret never appears in any sink, at any nesting, in any field.

Secrets of every kind that redaction detects are put into every field of calls, principals, resources, policies and
decisions that a caller or an administrator can fill. The guard records them, and the bytes that a file, a webhook, a
collector and a NATS server received, in every format, are searched.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iam_guard.audit.consumer.subscription import AuditReader
from iam_guard.audit.export import FORMS
from iam_guard.audit.open_trail import open_audit_log
from iam_guard.audit.record.condition_values import ListedKeys
from iam_guard.audit.shipping.destinations import open_sinks
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.trail import Trail
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.signing_keys import create_signing_key_file, read_signing_keys
from iam_guard.audit.writer.pipeline import Pipeline
from iam_guard.errors import InvalidClientTokenId, InvalidInput, StoreUnavailable
from iam_guard.model.decision import Decision, Outcome, PolicyRef, PolicyType, Reason
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, Call
from iam_guard.settings import Settings
from tests.audit.shipping.destinations import ship_once
from tests.audit.shipping.nats_servers import UniqueStream, shared_server
from tests.audit.shipping.receivers import run_receiver

WEBHOOK_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()

PLANTED = {
    "api key": "igk_AKPLANTED_pl4nted0123456789abcdefghijklmnop",
    "session token": "igst_pl4ntedPL4NTEDpl4nted0123456789",
    "bearer": "Bearer pl4nted-opaque-token-of-somebody",
    "json web token": "eyJhbGciOiJIUzI1NiJ9.eyJwbDRudGVkIjp0cnVlfQ.c2lnbmF0dXJlLXBsNG50ZWQ",
    "secret access key": "wJalrXUtnFEMIaK7MDENGbPxRfiCYpl4ntedKEY0",
    "password in a URL": "https://user:pl4nted-password@internal.example.com/",
    "password in a query": "password=pl4nted-in-a-query",
    "authorization header": "Authorization: Digest pl4nted-authorization",
}
MARKS = [b"pl4nted", b"PL4NTED", b"cGw0bnRlZ", b"eyJwbDRudGVkI", b"wJalrXUtnFEMIaK7MDENG"]


def nested(secret: str, depth: int) -> str:
    """Embed a secret in text, and that in JSON strings, `depth` levels deep."""
    text = f"before {secret} after"
    for _ in range(depth):
        text = json.dumps({"nested": [text, {"deeper": text}]})
    return text


def principals_named(secret: str) -> list[Principal]:
    """Return principals of every kind; a session only if the secret is a valid session name."""
    role = "arn:aws:iam::111122223333:role/Auditor"
    principals = [
        Principal.from_arn(f"arn:aws:iam::111122223333:user/{secret}", userid=secret, tags={secret: secret}),
        Principal.anonymous(),
        Principal.service(secret),
    ]
    with suppress(InvalidInput):
        session = f"arn:aws:sts::111122223333:assumed-role/Auditor/{secret}"
        principals.append(Principal.from_arn(session, role_arn=role, userid=f"AROA:{secret}"))
    return principals


def plant(trail: Trail, secret: str) -> None:
    """Write records of every kind, with the secret in each field."""
    call = Call(
        request_id=secret,
        kind="http",
        method=secret,
        path=f"/documents/{secret}?q={secret}",
        host=secret,
        source_ip=secret,
        user_agent=secret,
        region=secret,
        secure=True,
    )
    principals = principals_named(secret)
    policy = PolicyRef(secret, PolicyType.IDENTITY, arn=secret, digest=secret)
    reason = Reason(PolicyType.IDENTITY, "Deny", policy, statement=0, sid=secret)
    for principal in principals:
        for outcome in Outcome:
            request = AccessRequest(
                principal, f"docs:{secret}", secret, {"docs:note": secret, "aws:PrincipalTag/x": secret}
            )
            trail.record_decision(Decision(outcome, request, (reason,), epoch=7), call, started=0.0)
            trail.record_decision(Decision(outcome, request, (reason,), epoch=7, error=secret), call, started=0.0)
    refusal = InvalidClientTokenId(f"no key {secret}", place=secret)
    trail.record_authentication(refusal, call, kind=secret, credential_id=secret)
    trail.record_error(
        StoreUnavailable(secret, place=secret), call, principals[0], action=f"docs:{secret}", resource=secret
    )


def recorded_trail(folder: Path, secrets: list[str]) -> Path:
    """Write a trail with secrets in every field."""
    create_signing_key_file(folder / "key")
    chosen = Settings(audit=f"{folder}/trail/", audit_key_file=str(folder / "key"), audit_wait=30.0)
    log = open_audit_log(chosen, None)
    assert isinstance(log, Pipeline)
    trail = Trail(log, keys=ListedKeys(("aws:*", "iam:*", "docs:*")))
    for secret in secrets:
        plant(trail, secret)
    trail.close()
    return folder / "trail"


@pytest.fixture
def stream() -> Iterator[UniqueStream]:
    found = UniqueStream(shared_server())
    yield found
    found.drop()


@pytest.mark.parametrize("form", FORMS)
def test_sinks_receive_no_planted_secret(tmp_path: Path, stream: UniqueStream, form: str) -> None:
    trail = recorded_trail(tmp_path, [nested(secret, depth) for secret in PLANTED.values() for depth in (0, 1, 2)])
    out = tmp_path / "out.jsonl"
    with run_receiver() as hook, run_receiver() as collector:
        urls = [
            f"file:{out}#name=file&form={form}",
            f"{hook.url}/in#name=hook&form={form}",
            f"otlp+{collector.url}#name=otlp",
            stream.sink(f"&form={form}"),
        ]
        sinks = open_sinks([SinkUrl.parse(url) for url in urls], webhook_secrets=[WEBHOOK_SECRET])
        shippers = ship_once(trail, *sinks, ring=KeyRing([read_signing_keys(tmp_path / "key")[0].verifier]))
        assert {each.state for each in shippers.usage().values()} == {"ended"}
        delivered = {each.delivered for each in shippers.usage().values()}
        contents = {
            "file": out.read_bytes(),
            "webhook": b"".join(repr(each).encode() + each.body for each in hook.accepted),
            "collector": b"".join(repr(each).encode() + each.body for each in collector.accepted),
            "nats": b"".join(repr(message).encode() + message.data for message in stream.messages()),
        }
    [count] = delivered
    assert count > len(PLANTED) * 3 * 20
    for sink, content in contents.items():
        assert len(content) > 100_000
        assert [mark for mark in MARKS if mark in content] == [], sink
    offsets = b"".join(path.read_bytes() for path in (trail / ".consumers").iterdir())
    assert not any(mark in offsets for mark in MARKS)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    secret=st.sampled_from(sorted(PLANTED.values())),
    before=st.text(max_size=30),
    after=st.text(max_size=30),
    depth=st.integers(0, 3),
)
def test_formats_contain_no_planted_secret(
    tmp_path_factory: pytest.TempPathFactory, secret: str, before: str, after: str, depth: int
) -> None:
    trail = recorded_trail(tmp_path_factory.mktemp("planted"), [nested(f"{before} {secret} {after}", depth)])
    with AuditReader(trail).subscribe(verify=False, follow=False) as subscription:
        for _, record in subscription:
            for form in FORMS.values():
                assert not any(mark in form(record).encode() for mark in MARKS)
