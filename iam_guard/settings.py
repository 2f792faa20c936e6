"""One frozen Settings, made from arguments and environment variables, once.

An argument wins over the environment variable `IAM_GUARD_<NAME>`, which wins over the default.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from iam_guard.errors import ConfigurationError

PREFIX = "IAM_GUARD_"
_SOURCE = re.compile(r"(?!authorization|x-api-key|x-amz-security-token)[a-z][a-z0-9-]{1,62}")
_REGION = re.compile(r"[A-Za-z0-9._-]{1,64}")  # what a signature may name, and no pattern


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. Each field's docstring is its line in the reference."""

    partition: str = "aws"
    """The partition of the ARNs of our own resources."""
    region: str = "us-east-1"
    """The region of the application, for ARNs, `aws:RequestedRegion` and the audit record."""
    regions: tuple[str, ...] = ()
    """Further regions that signatures at the application's routes may be scoped to. Those of ARNs, of
    `aws:RequestedRegion` and of the audit record stay `region`: callers choose none of them."""
    clock_skew: float = 300.0
    """Seconds by which a signature's time may differ from ours, either way."""
    max_body: int = 16 * 1024 * 1024
    """Bytes of a signed body that are held to check its hash, or the signature of a chunk. A longer body whose hash the
    request states passes through to the handler, which gets its end once the hash is right; others are refused."""
    max_stream: int = 5 * 1024**3
    """Bytes of a signed body that passes through, in chunks or beyond `max_body`; more is refused."""
    max_bodies: int = 256 * 1024 * 1024
    """Bytes of bodies that a process holds at the same time, of all connections together, beyond the first 48 KiB of
    each; a request that needs more gets 503. No less than `max_body`."""
    body_timeout: float = 20.0
    """Seconds that a signed body may take to arrive, and one more for each 64 KiB of it; then the request gets 408.
    A WSGI server that waits for bodies needs a time-out of its own besides."""
    max_header: int = 64 * 1024
    """Bytes of all header names and values together, of at most 256 headers; more is refused."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed; none by default."""
    client_certificates: tuple[str, ...] = ()
    """Where client certificates count as credentials: `tls` for the server's own connections, and names of headers that
    trusted proxies set: `x-forwarded-client-cert` (Envoy), `client-cert` (RFC 9440), any other for escaped PEM."""
    public_hosts: tuple[str, ...] = ()
    """Names that clients may have signed as `Host` when a proxy rewrites it; tried after the header itself. The
    application then gets the name that was signed as its `Host`, and no `X-Forwarded-Host`."""
    audit: str = ""
    """Where audit records go: empty for nowhere, `-` for standard output, a path that ends with `/` or is a folder
    for a trail that can be proved, else a file path."""
    audit_condition_keys: tuple[str, ...] = ("aws:*", "iam:*")
    """Condition keys whose values are recorded when a decision read them, `docs:*` say; of all others the record says
    that they were read. `aws:referer` counts only when it is named in full."""
    audit_fail_open: tuple[str, ...] = ("read",)
    """Which allowed requests of the application go on when their record finds no place in the trail, with a gap that is
    counted: `read`, `write`; all others are refused."""
    audit_wait: float = 0.1
    """Seconds that an ordinary request waits for a place for its record in the trail."""
    audit_durable_wait: float = 5.0
    """Seconds that a call of the IAM and STS API waits until its record is on the disk; then it is refused."""
    audit_queue_size: int = 10_000
    """Records that may wait in memory for the thread that writes the trail, in each lane; denials have half as many
    places, callers that are not signed in a quarter."""
    audit_flush_seconds: float = 1.0
    """Seconds after which a record of the trail is on the disk for which no request waits, and so what the power can
    take; 0 for when the system sees fit."""
    audit_retention_days: int = 0
    """Days after which lines of the trail are dropped, by whole segments; 0 for never."""
    audit_retention_grace_days: int = 7
    """Days longer for which lines are kept that a group of consumers has not acknowledged; then they go unread."""
    audit_key_file: str = ""
    """A file with the keys of the audit trail's checkpoints, one a line, of which the first signs; made by
    `iam-guard init` beside an SQLite store."""
    audit_verifier_keys: tuple[str, ...] = ()
    """Public keys (`name+id+base64`) that verify checkpoints of the audit trail, besides those of the file."""
    audit_sinks: tuple[str, ...] = field(default=(), repr=False)
    """Where else the records of a trail in a folder go, at least once: URLs of `nats`, `nats+tls`, `https` (a webhook),
    `otlp+https`, `otlp+http`, `file`, or `-` for standard output, each with its options after `#`."""
    audit_webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    """Secrets (`whsec_` and base64) that sign webhooks whose URL names no `secret_file`; all of them sign."""
    audit_drop: tuple[str, ...] = ()
    """Members that records do not have, as JSON pointers: `/userAgent`, `/iamGuard/reasons/*/line`, where `*` stands
    for any member or element."""
    audit_mask: tuple[str, ...] = ()
    """Members whose values become `[redacted]` in records, as JSON pointers."""
    audit_pseudonyms: tuple[str, ...] = ()
    """Members whose values become pseudonyms in records, as JSON pointers; masked where the account has no key."""
    audit_pseudonym_key_file: str = ""
    """A file with the keys of pseudonyms by account; beside an SQLite store by default. Made by
    `iam-guard audit pseudonym-key`."""
    audit_sample_reads: float = 1.0
    """The share of the records of allowed requests of the application that only read which is kept; what is left out is
    counted in the trail."""
    store_timeout: float = 0.75
    """Seconds within which a question to the store has its answer, be it that there is none; connecting included. Lists
    and changes have as long for each connection."""
    epoch_poll: float = 0.5
    """Seconds between two looks at the store's epoch."""
    max_staleness: float = 300.0
    """Seconds to go on deciding with what is cached while the store cannot be reached; then everything is denied."""
    shadow_actions: tuple[str, ...] = ("*",)
    """Actions that shadow mode decides with the candidate as well, `docs:*` say; the others are decided once."""
    replay_memory: int = 0
    """Signatures that each process remembers, to refuse one that comes again; 0 for none. Where it is full, refused."""
    cache_size: int = 10_000
    """Entries in each of the caches of credentials, principals, accounts and resources."""
    issuer_url: str = ""
    """Where others find the IAM API, `https://iam.example.com` say; the issuers of identity tokens are below it."""
    sealing_keys: tuple[str, ...] = field(default=(), repr=False)
    """Base64 AES-256 keys that seal secrets at rest; the first seals, all of them open."""
    sealing_key_file: str = ""
    """A file with one such key a line; made by `iam-guard init` beside an SQLite store."""

    oidc_roles: tuple[str, ...] = ()
    """Which role a bearer token of an OIDC provider gets, the first that fits: `ISSUER CLAIM=PATTERN ROLE_ARN`, where
    `*` stands for anything; or `ISSUER CLAIM` for a claim that holds the role's ARN."""
    oidc_role_header: str = ""
    """A header in which the sender of such a token may name the role instead; empty for none."""
    oidc_algorithms: tuple[str, ...] = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
    """Signature algorithms of tokens that are accepted; of the others, `PS256`, `PS384`, `PS512` and `EdDSA` may be."""
    oidc_addresses: tuple[str, ...] = ()
    """Where issuers are reached that are not public, `ISSUER=ADDRESS`: a private address, or `http://` at loopback."""
    oidc_ca_file: str = ""
    """Certificates (PEM) of authorities that issuers are believed from, beside those of the system."""
    oidc_timeout: float = 5.0
    """Seconds to wait for an issuer."""
    oidc_refresh: float = 900.0
    """Seconds after which an issuer's keys are fetched again."""
    oidc_cooldown: float = 15.0
    """Seconds between two attempts to fetch an issuer's keys, whatever asks for them."""
    oidc_max_staleness: float = 86_400.0
    """Seconds to go on with an issuer's keys while the issuer cannot be reached; then its tokens are refused."""
    oidc_leeway: float = 60.0
    """Seconds by which an issuer's clock may differ from ours, either way."""

    def __post_init__(self) -> None:
        for item in fields(self):
            _check(getattr(self, item.name), str(item.type), item.name)
        for source in self.client_certificates:
            if not _SOURCE.fullmatch(source):
                message = f"expected `tls` or the name of a header in lower case, got `{source[:64]}`"
                raise ConfigurationError(message, place="client_certificates")
        for name in self.regions:
            if not _REGION.fullmatch(name):
                raise ConfigurationError(f"expected the name of a region, got `{name[:64]}`", place="regions")
        for network in self.trusted_proxies:
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError:
                message = f"expected a network such as 10.0.0.0/8, got `{network}`"
                raise ConfigurationError(message, place="trusted_proxies") from None
        if self.max_bodies < self.max_body:
            message = f"expected at least the {self.max_body} bytes of `max_body`, got `{self.max_bodies}`"
            raise ConfigurationError(message, place="max_bodies")
        if not self.store_timeout:
            raise ConfigurationError("expected a number above 0, got `0`", place="store_timeout")
        if self.issuer_url:
            _check_issuer(self.issuer_url)


FORMER_NAMES: Final = {"audit_ring": "audit_queue_size"}


def load(arguments: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Make Settings; raise `ConfigurationError` for an unknown name or an unreadable value."""
    environment = os.environ if environment is None else environment
    for former, present in FORMER_NAMES.items():
        for names, place in ((arguments or {}, former), (environment, PREFIX + former.upper())):
            if place in names:
                raise ConfigurationError(f"expected the setting `{present}`, got its former name", place=place)
    known = {item.name: item for item in fields(Settings)}
    given: dict[str, Any] = dict(arguments or {})
    for name in given:
        if name not in known:
            raise ConfigurationError(f"unknown setting `{name}`, known are {', '.join(sorted(known))}", place=name)
    for name, item in known.items():
        text = environment.get(PREFIX + name.upper())
        if text is not None and name not in given:
            given[name] = _read(text, item.type, PREFIX + name.upper())
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return Settings(**values)


def _check_issuer(url: str) -> None:
    """Refuse what no verifier would fetch keys from; without TLS only what is on this very machine.

    What was given is not told, for it may have a password in it.
    """
    form = re.fullmatch(r"(https?)://(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?(/[a-z0-9._~-]+)*", url)
    if form is None or (form[1] == "http" and form[2] not in _LOOPBACK):
        message = "expected an https URL in lower case, with neither a slash at its end nor a query nor a user"
        raise ConfigurationError(message, place="issuer_url")


_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def _check(value: Any, kind: str, name: str) -> None:
    """Refuse what is of another kind than the field. A list's or text's value may be secret and is not told."""
    got = f"got `{type(value).__name__}`"
    if kind == "tuple[str, ...]":
        if not isinstance(value, tuple) or not all(isinstance(part, str) for part in value):
            raise ConfigurationError(f"expected a list of texts, {got}", place=name)
    elif kind == "str":
        if not isinstance(value, str):
            raise ConfigurationError(f"expected a text, {got}", place=name)
    elif isinstance(value, bool) or not isinstance(value, int if kind == "int" else (int, float)):
        raise ConfigurationError(f"expected {'a whole number' if kind == 'int' else 'a number'}, {got}", place=name)
    elif not math.isfinite(value) or value < 0:  # not-a-number would be over no limit
        raise ConfigurationError(f"expected a number not below 0, got `{value}`", place=name)


def _read(text: str, kind: Any, place: str) -> Any:
    try:
        match str(kind):
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "tuple[str, ...]":
                return tuple(part.strip() for part in text.split(",") if part.strip())
            case _:
                return text
    except ValueError:
        raise ConfigurationError(f"expected a number, got `{text}`", place=place) from None
