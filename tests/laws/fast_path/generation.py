"""Generates the requests of the law of the fast path: good ones in many forms, and others that are tampered with."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from tests.laws.fast_path.documents import HERE, NAMES, THERE
from tests.laws.fast_path.tampering import TAMPERINGS
from tests.laws.fast_path.wires import HOST, Caller, Entry, Headers, Wire, presigned, signed

_PATHS: Final[tuple[tuple[str, str], ...]] = (
    *(("GET", "/documents/{}"),) * 6,
    *(("PUT", "/documents/{}"), ("PUT", "/documents/{}"), ("POST", "/documents/{}"), ("GET", "/search")),
    *(("GET", "/folders/{}/x"), ("GET", "/folders/a//{}"), ("GET", "/secrets/{}"), ("GET", "/secrets/{}")),
    *(("PUT", "/uploads/{}"), ("GET", "/loaded/{}"), ("GET", "/loaded/{}"), ("GET", "/linked/{}")),
    *(("GET", "/tagged/{}"), ("GET", "/shared/{}"), ("GET", f"/accounts/{THERE}/documents/{{}}"), ("GET", "/public")),
    *(("GET", f"/accounts/{HERE}/documents/{{}}"), ("GET", "/open"), ("GET", "/nowhere"), ("HEAD", "/documents/{}")),
    *(("GET", "/numbers/7"), ("GET", "/numbers/x"), ("GET", "/documents/%2e%2e"), ("GET", "/documents/a%2fb")),
    *(("GET", "/documents/x/../{}"), ("GET", "/./documents/{}")),  # signed as sent, and refused nevertheless
)
_QUESTIONS: Final = (
    *((f"docs:{action}Document", f"arn:aws:docs:us-east-1:{HERE}:document/{{}}") for action in ("Get", "Put", "Get")),
    *(("docs:GetSecret", f"arn:aws:docs:us-east-1:{THERE}:secret/{{}}"), ("docs:ListDocuments", "*")),
    *(("iam:GetUser", f"arn:aws:iam::{HERE}:user/{{}}"), ("sts:AssumeRole", f"arn:aws:iam::{HERE}:role/dev")),
    *(("kms:Decrypt", f"arn:aws:kms:us-east-1:{HERE}:key/{{}}"), ("sts:GetCallerIdentity", "*")),
    *(("docs:GetDocument", "arn:aws:docs:::document/{}"), ("docs:GetDocument", "document"), ("GetDocument", "*")),
    *(("DOCS:getdocument", f"arn:aws:docs:us-east-1:{HERE}:document/{{}}"), ("other:Get", "*")),
)


_NAMES: Final = NAMES + NAMES[:3] * 2
_WEIGHTS = {"ann": 14, "bob": 10, "eve": 5, "ann key": 8, "bob key": 6, "dev key": 6}
_WEIGHTS |= {"session of AssumedRole": 5, "session of User": 3, "session of FederatedUser": 2}


class Focus(NamedTuple):
    """What several requests have in common, which differ in whatever else conditions and signatures are about."""

    caller: Caller
    entry: Entry
    method: str
    path: str
    question: tuple[str, str]

    @classmethod
    def draw(cls, rng: random.Random, everyone: list[Caller]) -> Focus:
        [caller] = rng.choices(everyone, [_WEIGHTS.get(caller.name, 1) for caller in everyone])
        method, path = rng.choice(_PATHS)
        entry: Entry = rng.choices(("asgi", "wsgi", "direct"), (6, 3, 3))[0]
        action, arn = rng.choice(_QUESTIONS)
        return cls(caller, entry, method, path.format(rng.choice(_NAMES)), (action, arn.format(rng.choice(_NAMES))))


def generate(rng: random.Random, focus: Focus, now: datetime) -> Wire:
    """Return a request signed at about `now`, good or bad."""
    caller, entry, method, path, question = focus
    keys: dict[str, object] = {"docs:Label": rng.choice(("x", "red"))} if rng.random() < 0.3 else {}
    if rng.random() < 0.2:
        keys["docs:Labels"] = rng.choice((["x"], ["red", "x"], [], ["y"]))
    if rng.random() < 0.05:
        keys["aws:SourceIp"] = ["10.0.0.1", "10.0.0.2"]  # several values of a key that has one: an error
    body = rng.choice((b"", b"text", b"x" * 300)) if method in ("PUT", "POST") else b""
    headers: Headers = ((b"host", HOST), (b"user-agent", rng.choice((b"curl/8", b"a bot"))), (b"accept", b"*/*"))
    if rng.random() < 0.2:
        headers += ((b"referer", b"https://docs.example/x"),)
    if body:
        headers += ((b"content-length", str(len(body)).encode()),)
    wire = Wire(
        entry,
        method,
        path.encode(),
        rng.choice(
            (b"", b"", b"", b"b=2&a=1", b"a=1&a=0", b"q=a%20b", b"flag", b"x=%7e", b"a=1&&b=", b"X-Amz-Signature=0")
        ),
        headers,
        body,
        rng.choice(("10.1.2.3", "203.0.113.7", "::ffff:10.1.2.3")),
        rng.choice(("http", "http", "https")),
        question,
        keys,
    )
    wire = _with_credential(rng, wire, caller, now)
    if rng.random() < 0.2:
        tamper = rng.choice(TAMPERINGS)
        wire = replace(tamper(rng, wire), label=tamper.__name__.strip("_"))
    return replace(wire, label=f"{caller.name}: {wire.label}")


_AT_THE_LIMIT: Final = (-299, -300, -301, -302, 300, 302, -86_400)
"""Seconds between the time of signing and the present, near the setting `clock_skew`."""


def _with_credential(rng: random.Random, wire: Wire, caller: Caller, now: datetime) -> Wire:
    if caller.api_key is not None:
        key = caller.api_key.encode()
        header = (b"authorization", b"Bearer " + key) if rng.random() < 0.5 else (b"x-api-key", key)
        return replace(wire, headers=(*wire.headers, header))
    if not caller.key_id:
        return wire
    is_presigned = rng.random() < 0.06
    if not is_presigned and rng.random() < 0.25:
        stated = rng.choice((*(hashlib.sha256(wire.body).hexdigest(),) * 8, "UNSIGNED-PAYLOAD", "0" * 64))
        wire = replace(wire, headers=(*wire.headers, (b"x-amz-content-sha256", stated.encode())))
    at = now + timedelta(seconds=rng.choice((*(0, 0, 0, 100, 200, -1, -60, 250) * 6, *_AT_THE_LIMIT)))
    region = rng.choice((*("us-east-1",) * 24, *("eu-west-1",) * 6, "mars-1"))
    service = rng.choice((*("docs",) * 38, "s3", "iam"))
    if is_presigned:
        return presigned(wire, caller, at, region=region, service=service, expires=rng.choice((1, 300, 3600)))
    covered = rng.choice(((), (), (b"accept",), (b"user-agent", b"referer"), (b"content-length",)))
    return signed(wire, caller, at, region=region, service=service, covered=covered)
