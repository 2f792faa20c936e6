"""Requests of the law of the fast path, as bytes: from every kind of caller, signed, and then often tampered with."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import quote, unquote

from iam_guard.authn.api_key import format_api_key
from iam_guard.model.credential import Session
from iam_guard.model.principal import Principal
from iam_guard.store.schema import identities
from iam_guard.store.sql_store import SqlStore
from tests.laws.fast_path.documents import COLOURS, HERE, START, THERE, document
from tests.laws.fast_path.world import API_SECRET, SECRET

Headers = tuple[tuple[bytes, bytes], ...]
Entry = Literal["asgi", "wsgi", "direct"]
HOST: Final = b"docs.example"
MAX_HEADER: Final = 3_000
"""The setting `max_header`: small, so that requests at the limit are cheap."""


@dataclass(frozen=True)
class Wire:
    """A request as a server receives it. `question` is what the entry `direct` decides; `label` is for statistics."""

    entry: Entry
    method: str
    path: bytes
    query: bytes
    headers: Headers
    body: bytes = b""
    client: str = "10.1.2.3"
    scheme: str = "http"
    question: tuple[str, str] = ("docs:GetDocument", "*")
    keys: Mapping[str, object] = field(default_factory=dict)
    label: str = "good"


@dataclass(frozen=True)
class Caller:
    """A credential: an access key with its secret, also of a session, or the text of an API key."""

    name: str
    key_id: str = ""
    secret: str = ""
    token: str | None = None
    api_key: str | None = None


def callers(store: SqlStore, rng: random.Random) -> list[Caller]:
    """Return the callers: users, roots, sessions of each kind that expire at various times, API keys, no credential."""
    found = [Caller(name, f"AKIA{name.upper()}00000001", SECRET.format(name)) for name in ("ann", "bob", "eve", "old")]
    found += [Caller("root", f"AKIAROOT{account}", SECRET.format("root")) for account in (HERE, THERE)]
    found += [Caller("rotated", "AKIAANN00000001", SECRET.format("other"))]
    found += [Caller("unknown", "AKIANOBODY0000001", SECRET.format("ann"))]
    found += [Caller(f"{name} key", api_key=format_api_key(f"{name}key", API_SECRET.format(name))) for name in _KEYS]
    found += [Caller("anonymous"), Caller("wrong key", api_key=format_api_key("annkey", API_SECRET.format("eve")))]
    with store.read_transaction() as records:
        ids = {row["name"]: row["id"] for row in records.all(identities, account=HERE)}
    sessions = [_session(rng, ids, number) for number in range(10)]
    for number, session in enumerate(sessions):
        token = store.seal_session(session)
        name = f"session of {session.principal.type.value}"
        found.append(Caller(name, session.access_key_id, session.secret, token))
        if number % 4 == 3:
            found.append(Caller("other token", session.access_key_id, session.secret, store.seal_session(sessions[0])))
            found.append(Caller("no token", session.access_key_id, session.secret))
            found.append(Caller("broken token", session.access_key_id, session.secret, f"{token[:-5]}AAAAA"))
    return found


_KEYS = ("ann", "bob", "eve", "dev", "none")


def _session(rng: random.Random, ids: Mapping[str, str], number: int) -> Session:
    """Return a session of a role, of a user by GetSessionToken, or of a federated user."""
    expires = START + timedelta(seconds=rng.choice((60, 600, 3600, 90_000, 90_000)))
    policies = tuple(json.dumps(document(rng, "session")) for _ in range(rng.choice((0, 1, 1, 2)))) or None
    ann, kind = f"arn:aws:iam::{HERE}:user/ann", number % 3
    if kind == 0:
        tags = MappingProxyType({"team": rng.choice(COLOURS)} if rng.random() < 0.5 else {})
        arn = f"arn:aws:sts::{HERE}:assumed-role/dev/session{number}"
        caller = Principal.from_arn(arn, userid=f"{ids['dev']}:session{number}", tags=tags, session_policies=policies)
        parent: tuple[str | None, str | None] = (None, None)
    elif kind == 1:
        caller = Principal.from_arn(ann, userid=ids["ann"])
        parent = ("AKIAANN00000001", None)
    else:
        arn = f"arn:aws:sts::{HERE}:federated-user/fred"
        tags = MappingProxyType({"team": rng.choice(COLOURS)})
        caller = Principal.from_arn(arn, user_arn=ann, userid=f"{HERE}:fred", tags=tags, session_policies=policies)
        parent = ("AKIAANN00000001", ids["ann"])
    mfa_at = START - timedelta(seconds=rng.choice((0, 500, 4000))) if kind == 1 and number % 2 else None
    issued = START - timedelta(minutes=10)
    source = rng.choice((None, "alice")) if kind == 0 else None
    secret = f"session-secret-{number}-0123456789"
    return Session(f"ASIASESSION{number:08}", secret, caller, issued, expires, *parent, (), source, mfa_at)


# --- signing -----------------------------------------------------------------------------------------------------


def signed(wire: Wire, caller: Caller, at: datetime, *, region: str, service: str, covered: tuple[bytes, ...]) -> Wire:
    """Sign a request with Signature Version 4, as a client that covers some of its headers."""
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    headers = (*wire.headers, (b"x-amz-date", stamp.encode()))
    if caller.token is not None:
        headers += ((b"x-amz-security-token", caller.token.encode()),)
    present = {name for name, _ in headers}
    required = {name for name in present if name[:6] == b"x-amz-"}
    names = sorted({b"host", *covered, *required} & present)
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    signature = _signature(replace(wire, headers=headers), caller, stamp, scope, names)
    value = f"AWS4-HMAC-SHA256 Credential={caller.key_id}/{scope}, SignedHeaders={b';'.join(names).decode()}, "
    return replace(wire, headers=(*headers, (b"authorization", f"{value}Signature={signature}".encode())))


def presigned(wire: Wire, caller: Caller, at: datetime, *, region: str, service: str, expires: int) -> Wire:
    """Sign a request in its query, as for a link."""
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    parameters = {"Algorithm": "AWS4-HMAC-SHA256", "Credential": f"{caller.key_id}/{scope}", "Date": stamp}
    parameters |= {"Expires": str(expires), "SignedHeaders": "host"}
    if caller.token is not None:
        parameters["Security-Token"] = caller.token
    query = "&".join(f"X-Amz-{name}={quote(value, safe='-_.~')}" for name, value in parameters.items()).encode()
    wire = replace(wire, query=b"&".join(filter(None, (wire.query, query))))
    signature = _signature(wire, caller, stamp, scope, [b"host"])
    return replace(wire, query=wire.query + b"&X-Amz-Signature=" + signature.encode())


def _signature(wire: Wire, caller: Caller, stamp: str, scope: str, names: list[bytes]) -> str:
    values = {name: b" ".join(b",".join(v for n, v in wire.headers if n == name).split()) for name in names}
    path = wire.path if "/s3/" in scope else quote(wire.path, safe="/~").encode()
    query = b"&".join(sorted(part if b"=" in part else part + b"=" for part in wire.query.split(b"&") if part))
    hashed = dict(wire.headers).get(b"x-amz-content-sha256", hashlib.sha256(wire.body).hexdigest().encode())
    lines = [wire.method.encode(), path, query, *(name + b":" + values[name] for name in names)]
    canonical = b"\n".join([*lines, b"", b";".join(names), hashed])
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}"
    key = f"AWS4{caller.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def decoded_path(wire: Wire) -> str:
    """Return the path as a server decodes it."""
    return unquote(wire.path.decode("latin-1"), errors="replace")
