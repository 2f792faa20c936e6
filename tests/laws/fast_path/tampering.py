"""Changes of signed requests for the law of the fast path: each part of a credential, and of what it covers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from tests.laws.fast_path.wires import MAX_HEADER, Headers, Wire


def _changed(wire: Wire, name: bytes, change: Callable[[bytes], bytes]) -> Wire:
    headers = tuple((each, change(value) if each == name else value) for each, value in wire.headers)
    return replace(wire, headers=headers)


def _wrong_signature(rng: random.Random, wire: Wire) -> Wire:
    return _changed(wire, b"authorization", lambda value: value[:-1] + (b"0" if value[-1:] != b"0" else b"1"))


def _short_signature(rng: random.Random, wire: Wire) -> Wire:
    return _changed(wire, b"authorization", lambda value: value[: -rng.choice((1, 64, 70))])


def _character(rng: random.Random, wire: Wire) -> Wire:
    """Change any one character of the credential."""

    def change(value: bytes) -> bytes:
        at = rng.randrange(len(value))
        return value[:at] + rng.choice((b"a", b"A", b"/", b" ", b"0", b",", b";", b"\xe9")) + value[at + 1 :]

    return _changed(wire, rng.choice((b"authorization", b"x-api-key", b"x-amz-date", b"x-amz-security-token")), change)


def _spacing(rng: random.Random, wire: Wire) -> Wire:
    """Write the credential in another form, which may be as good."""
    old, new = rng.choice(
        ((b", ", b","), (b", ", b" ,  "), (b" Cred", b"  Cred"), (b"Bearer", b"bearer"), (b"; ", b";"))
    )
    return _changed(wire, b"authorization", lambda value: value.replace(old, new))


def _scope(rng: random.Random, wire: Wire) -> Wire:
    old, new = rng.choice(((b"/docs/", b"/s3/"), (b"us-east-1", b"eu-west-1"), (b"aws4_request", b"aws4_other")))
    return _changed(wire, b"authorization", lambda value: value.replace(old, new))


def _key_id(rng: random.Random, wire: Wire) -> Wire:
    return _changed(wire, b"authorization", lambda value: value.replace(b"AKIAANN", b"AKIABOB"))


def _date(rng: random.Random, wire: Wire) -> Wire:
    return _changed(wire, b"x-amz-date", lambda value: value[:-2] + rng.choice((b"0Z", b"1Z", b"9Z", b"z")))


def _method(rng: random.Random, wire: Wire) -> Wire:
    return replace(wire, method=rng.choice(("GET", "PUT", "DELETE", "HEAD", "OPTIONS", "get")))


def _path(rng: random.Random, wire: Wire) -> Wire:
    """Write the path in another form, or send another one."""
    path = wire.path
    forms = (
        b"/" + path,
        path + b"/",
        path + b"/.",
        b"/." + path,
        path.replace(b"s/", b"s//"),
        path.replace(b"1", b"%31"),
    )
    return replace(wire, path=rng.choice((*forms, b"/x/.." + path, path[:-1] + b"%2e", path + b"%00", path + b"%ff")))


def _query(rng: random.Random, wire: Wire) -> Wire:
    query = b"&".join(reversed(wire.query.split(b"&")))
    return replace(
        wire, query=rng.choice((query, wire.query + b"&", wire.query + b"&c=3", b"a=1", b"X-Amz-Signature=0"))
    )


def _body(rng: random.Random, wire: Wire) -> Wire:
    return replace(wire, body=rng.choice((b"", b"tex", wire.body + b"!")))


def _order(rng: random.Random, wire: Wire) -> Wire:
    """Send the headers in another order, which changes nothing but for repeated ones."""
    return replace(wire, headers=tuple(rng.sample(wire.headers, len(wire.headers))))


def _twice(rng: random.Random, wire: Wire) -> Wire:
    return replace(wire, headers=(*wire.headers, rng.choice(wire.headers)))


def _missing(rng: random.Random, wire: Wire) -> Wire:
    dropped = rng.choice(wire.headers)
    return replace(wire, headers=tuple(header for header in wire.headers if header is not dropped))


def _name_in_capitals(rng: random.Random, wire: Wire) -> Wire:
    chosen = rng.choice(wire.headers)[0]
    return replace(wire, headers=tuple((n.upper() if n == chosen else n, value) for n, value in wire.headers))


def _value(rng: random.Random, wire: Wire) -> Wire:
    chosen = rng.choice(wire.headers)[0]
    return _changed(wire, chosen, lambda value: rng.choice((value + b" ", b" " + value, value + b"x", b"")))


def _more_headers(rng: random.Random, wire: Wire) -> Wire:
    """Add a header that no signature covers, or that every signature must cover."""
    choice = (b"x-amz-new", b"x-other", b"x-forwarded-for", b"x-api-key", b"x-amz-security-token", b"x-amz-cf-id")
    return replace(wire, headers=(*wire.headers, (rng.choice(choice), rng.choice((b"1", b"203.0.113.9, 10.0.0.1")))))


def _long_header(rng: random.Random, wire: Wire) -> Wire:
    """Add a header, so that all together are just within the limit, or just above it."""
    headers = tuple(header for header in wire.headers if header[0] != b"x-long")
    used = sum(len(name) + len(value) for name, value in headers) + len(b"x-long")
    return replace(wire, headers=(*headers, (b"x-long", b"x" * (MAX_HEADER - used + rng.choice((-1, 0, 1))))))


def _many_headers(rng: random.Random, wire: Wire) -> Wire:
    count = rng.choice((256, 257)) - len(wire.headers)
    return replace(wire, headers=(*wire.headers, *((b"x-%d" % number, b"") for number in range(count))))


def _proxied(rng: random.Random, wire: Wire) -> Wire:
    """Send it through a trusted proxy, mostly with its headers."""
    headers: Headers = ((b"x-forwarded-for", rng.choice((b"203.0.113.9", b"10.1.1.1, 10.9.0.2", b"nowhere"))),)
    headers += ((b"x-forwarded-proto", b"https"),) if rng.random() < 0.5 else ()
    return replace(wire, client="10.9.0.1", headers=(*wire.headers, *headers))


def _host(rng: random.Random, wire: Wire) -> Wire:
    return _changed(wire, b"host", lambda value: rng.choice((b"internal:8000", value + b":80", value + b":443", b"")))


TAMPERINGS = (
    *(
        _wrong_signature,
        _wrong_signature,
        _short_signature,
        _character,
        _character,
        _spacing,
        _scope,
        _key_id,
        _date,
        _method,
    ),
    *(_path, _path, _path, _query, _body, _order, _twice, _missing, _name_in_capitals, _value, _more_headers),
    *(_long_header, _many_headers, _proxied, _host),
)


def tampered(rng: random.Random, wire: Wire) -> Wire:
    """Return a request that differs from another one, which may be known by now."""
    tamper = rng.choice(TAMPERINGS)
    return replace(tamper(rng, wire), label=f"{wire.label.partition(': ')[0]}: {tamper.__name__.strip('_')}")
