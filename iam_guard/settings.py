"""The settings, from arguments and environment variables.

An argument takes precedence over the environment variable `IAM_GUARD_<NAME>`, which takes precedence over the default.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any, Final

from iam_guard.errors import ConfigurationError, did_you_mean

__all__ = ["Settings", "load_settings"]
PREFIX = "IAM_GUARD_"
_SOURCE = re.compile(r"(?!authorization|x-api-key|x-amz-security-token)[a-z][a-z0-9-]{1,62}")
_REGION = re.compile(r"[A-Za-z0-9._-]{1,64}")  # as in a signature's scope, without wildcards
PASSWORD_MEMORY: Final = 19 * 1024
PASSWORD_PASSES: Final = 2
"""OWASP's minimum for Argon2id, together with this memory in KiB."""
MIN_PASSWORD_MEMORY: Final = 8
"""The least memory of Argon2id, in KiB."""
_SESSION_SECONDS = {"session_duration": (1, 7_776_000), "session_idle": (120, 7_776_000)}
_SITE = r"https://[a-z0-9.-]{1,253}(?::[0-9]{1,5})?|http://localhost(?::[0-9]{1,5})?"
_ORIGIN = re.compile(
    r"(?P<scheme>(?:https|wss)(?=://[a-z0-9])|(?:http|ws)(?=://(?:localhost|127\.0\.0\.1|\[::1\])(?::|$)))"
    r"://(?:\[::1\]|[a-z0-9.-]{0,252}[a-z0-9])(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_DEFAULT_PORTS: Final = {"https": "443", "wss": "443", "http": "80", "ws": "80"}
_MAX_PORT: Final = 65_535
_SCHEMA = re.compile(r"(?!pg_)[A-Za-z_][A-Za-z0-9_]{0,62}")
_FORMS: Final = {
    "sign_in_url": (re.compile(r"(?:/[A-Za-z0-9._~-]+)+/?"), "a path such as /signin"),
    "sign_in_links": (re.compile("root"), "`root`"),
    "site_url": (re.compile(_SITE), "a URL such as https://app.example.com"),
    "store_schema": (_SCHEMA, "the name of a schema"),
    "postgresql_schema": (_SCHEMA, "the name of a schema"),
}
"""The form of texts that are not empty, and its description."""
_LEAST: Final = {"password_memory": MIN_PASSWORD_MEMORY, "password_passes": 1, "store_pool_size": 1}


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. The docstring of each field is its description in the reference."""

    partition: str = "aws"
    """Partition of the ARNs of IAM entities and of the application's resources."""
    region: str = "us-east-1"
    """Region of the application, for ARNs, `aws:RequestedRegion` and the audit record."""
    regions: tuple[str, ...] = ()
    """Further regions that signatures of requests to the application may be scoped to. ARNs, `aws:RequestedRegion` and
    the audit record always have `region`."""
    clock_skew: float = 300.0
    """Maximum difference in seconds between a signature's time and the server's clock."""
    api_clock_skew: float = 900.0
    """The same for calls of the IAM and STS API: 15 minutes, as at AWS."""
    max_body: int = 16 * 1024 * 1024
    """Maximum bytes of a signed body, or of a signed chunk, that are buffered to verify it. A longer body is rejected
    unless a header of the request has its hash: then it is streamed to the handler, and its end is withheld until the
    hash is verified."""
    max_stream: int = 5 * 1024**3
    """Maximum bytes of a signed body that is streamed: in chunks, or longer than `max_body`."""
    max_bodies: int = 256 * 1024 * 1024
    """Maximum bytes of bodies that a process buffers for all connections together, not counting the first 48 KiB of
    each. A request that needs more gets 503. Must be at least `max_body`."""
    body_timeout: float = 20.0
    """Seconds within which a signed body must arrive, plus one for each 64 KiB; otherwise the request gets 408. Set a
    timeout for bodies in a WSGI server, too."""
    max_header: int = 64 * 1024
    """Maximum bytes of all header names and values together. A request may have at most 256 headers."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted; none by default."""
    client_certificates: tuple[str, ...] = ()
    """Accepted sources of client certificates: `tls` for the server's own connections, or the name of a header that
    trusted proxies set: `x-forwarded-client-cert` (Envoy), `client-cert` (RFC 9440), any other name for escaped PEM."""
    public_hosts: tuple[str, ...] = ()
    """Hosts that clients may have signed if a proxy rewrites `Host`. They are tried after the received header. The
    application then gets the signed host as its `Host`, and no `X-Forwarded-Host`."""
    trusted_origins: tuple[str, ...] = ()
    """Origins of the application's own pages at other hosts or ports of its site, such as `https://app.example.com`:
    they may write with the session cookie, and read its CSRF token. `wss://app.example.com` lets pages of
    `https://app.example.com` open WebSockets. Never for the sign-in pages."""
    audit: str = ""
    """Destination of audit records: empty for none, `-` for standard output, a folder (or a path that ends with `/`)
    for a tamper-evident trail, any other path for a file."""
    audit_condition_keys: tuple[str, ...] = ("aws:*", "iam:*")
    """Condition keys whose values are recorded if a decision read them, for example `docs:*`. For other keys, only the
    name is recorded. `aws:*` does not include `aws:referer`: list it by its full name."""
    audit_fail_open: tuple[str, ...] = ("read",)
    """Kinds of the application's allowed requests (`read`, `write`) that proceed if their audit record cannot be
    queued; the gap is counted. All other requests are rejected."""
    audit_wait: float = 0.1
    """Seconds that a request of the application waits for space in the queue of the trail."""
    audit_durable_wait: float = 5.0
    """Seconds that a call of the IAM and STS API waits until its record is on disk; then it is rejected."""
    audit_queue_size: int = 10_000
    """Maximum records in each lane of the queue for the writer thread. The lane of denials has half of it, the lane of
    unauthenticated callers a quarter."""
    audit_flush_seconds: float = 1.0
    """Maximum seconds until a record is flushed to disk if no request waits for it. A power failure can lose the
    records of this time. 0 leaves flushing to the operating system."""
    audit_retention_days: int = 0
    """Days after which records of the trail are deleted, in whole segments; 0 keeps them forever."""
    audit_retention_grace_days: int = 7
    """Additional days for records that a consumer group has not acknowledged; then they are deleted unread."""
    audit_key_file: str = ""
    """File with the keys that sign the checkpoints of the audit trail, one per line; the first one signs. `iam-guard
    init` creates it next to an SQLite store."""
    audit_verifier_keys: tuple[str, ...] = ()
    """Public keys (`name+id+base64`) that verify checkpoints of the audit trail, in addition to those in the file."""
    audit_sinks: tuple[str, ...] = field(default=(), repr=False)
    """Sinks that get every record of the trail at least once, as URLs of the schemes `nats`, `nats+tls`, `https` (a
    webhook), `otlp+https`, `otlp+http` and `file`, or `-` for standard output. Options of a sink follow after `#`."""
    audit_webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    """Secrets (`whsec_` and base64) that sign webhooks whose URL has no option `secret_file`. All of them sign."""
    audit_drop: tuple[str, ...] = ()
    """Members removed from records, as JSON pointers: `/userAgent`, `/iamGuard/reasons/*/line`, where `*` matches any
    member or element."""
    audit_mask: tuple[str, ...] = ()
    """Members whose values are replaced by `[redacted]` in records, as JSON pointers."""
    audit_pseudonyms: tuple[str, ...] = ()
    """Members whose values are replaced by pseudonyms in records, as JSON pointers. They are masked if the account has
    no key."""
    audit_pseudonym_key_file: str = ""
    """File with the pseudonym keys of the accounts, by default next to an SQLite store. `iam-guard audit pseudonym-key`
    creates it."""
    audit_sample_reads: float = 1.0
    """Fraction of the application's allowed read requests that are recorded, above 0 and up to 1. The trail has the
    number of omitted records."""
    store_timeout: float = 0.75
    """Seconds within which a query to the store returns or fails, including the time to connect. For lists and changes,
    the limit applies to connecting only."""
    store_pool_size: int = 5
    """Connections to a PostgreSQL store that a process keeps. One more waits for notifications of changes."""
    store_pool_overflow: int = 10
    """Additional connections that a process opens while all others are in use, and closes afterwards. While the server
    accepts no more connections, its threads wait for those that the process has."""
    epoch_poll: float = 0.5
    """Seconds between two polls of the store for changes by other processes. PostgreSQL also announces changes at once,
    unless a connection pooler in transaction mode is in between."""
    quotas: tuple[str, ...] = ()
    """Changed quotas of a store and its accounts, such as `users per account=10000`. All other quotas are AWS's."""
    application_policy: str = ""
    """Identity-based policy of the application itself, as JSON: what `client(guard, …, account=…, reason=…)` may do. It
    never gets sessions, `iam:PassRole`, trust policies or the credentials of root users. Empty: it may read, create
    users, add them to groups and remove them."""
    postgresql_schema: str = "iam_guard"
    """Schema in which `iam-guard init` creates the tables of a new PostgreSQL store; an existing store is also found
    where the connection's `search_path` leads. Empty: the first schema of the `search_path`."""
    store_schema: str = ""
    """Schema of the application's database that has the tables of the store, so that lists join them. On SQLite, the
    name under which the store's file is attached, or `main`. Empty: policies of resources that name a caller become
    a part of its lists, at most 1,000."""
    max_staleness: float = 300.0
    """Seconds for which cached data is used while the store cannot be reached; then every request is denied."""
    shadow_actions: tuple[str, ...] = ("*",)
    """Actions that shadow mode decides with the candidate policies, too, for example `docs:*`."""
    replay_memory: int = 0
    """Number of signatures that each process remembers to reject replayed requests; 0 turns this off. While the memory
    is full, signed requests get 503."""
    cache_size: int = 10_000
    """Maximum entries of each cache of credentials, principals, accounts and resources."""
    issuer_url: str = ""
    """Public URL of the IAM API, for example `https://iam.example.com`. The issuer of each account's identity tokens is
    a path below it."""
    sealing_keys: tuple[str, ...] = field(default=(), repr=False)
    """Keys that encrypt secrets at rest: AES-256, in base64. The first key encrypts, all of them decrypt."""
    sealing_key_file: str = ""
    """File with one sealing key per line; `iam-guard init` creates it next to an SQLite store."""
    password_memory: int = PASSWORD_MEMORY
    """KiB of memory that each comparison of a password takes. After this or `password_passes` is changed, passwords are
    hashed again when their owners sign in."""
    password_passes: int = PASSWORD_PASSES
    """Passes over the memory that each comparison of a password takes."""
    password_hashes: int = 0
    """Passwords that a process hashes at the same time, each with `password_memory`; 0: one less than the processors
    that it may use, but at least one. Further sign-ins wait. Set it where a container has a limit of processor time, or
    several processes share a machine."""

    session_duration: float = 43_200.0
    """Seconds after which a browser session ends, unless the login profile of its user, or its role, has a shorter
    maximum."""
    session_idle: float = 3600.0
    """Seconds without a request after which a browser session ends; at least 120, since uses are recorded once a
    minute."""
    sign_in_url: str = ""
    """Path of the sign-in page, such as `/signin`. A browser that opens a page without being signed in is redirected
    there, with the parameter `next`; without this setting it gets 401. One that needs a fresh second factor is
    redirected to `/mfa` below."""
    sign_in_links: str = ""
    """`root`: the form to sign in with links to that of root users, which is always at `?type=root` below it."""
    site_url: str = ""
    """Scheme and host under which people open the application, such as `https://app.example.com`: where passkeys are
    valid, where identity providers of companies send people back to, and where links in e-mails lead. Without it, there
    is none of these, except for passkeys at `http://localhost`."""
    smtp_url: str = field(default="", repr=False)
    """URL of the SMTP server that sends e-mails to root users, links to reset a password and notifications:
    `smtps://user:password@smtp.example.com`, or `smtp://…` for STARTTLS. Without TLS only at loopback, without a
    password. Requires `mail_from` and `site_url`."""
    mail_from: str = ""
    """Address that e-mails are sent from."""

    saml_recipients: tuple[str, ...] = ()
    """URLs that SAML assertions for AssumeRoleWithSAML may name as `Recipient`; none by default. AWS's,
    `https://signin.aws.amazon.com/saml` and `https://REGION.signin.aws.amazon.com/saml`, also admit the audience
    `urn:amazon:webservices`."""
    saml_clock_skew: float = 60.0
    """Maximum difference in seconds between the clock of a SAML identity provider and the server's."""

    oidc_roles: tuple[str, ...] = ()
    """Rules that select the role for an OIDC bearer token: `ISSUER CLAIM=PATTERN ROLE_ARN`, with `*` as wildcard, or
    `ISSUER CLAIM` if the claim contains the role's ARN. The first match is used."""
    oidc_role_header: str = ""
    """Header in which a client with an OIDC token may name the role instead; empty for none."""
    oidc_audiences: tuple[str, ...] = ()
    """Audiences that OIDC bearer tokens to the application must have one of, such as `https://docs.example.com`; it
    must be registered with the provider, too. Tokens for other applications are then rejected, and the client of a
    token (`azp`) need not be registered. Empty: every registered audience."""
    oidc_algorithms: tuple[str, ...] = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
    """Accepted signature algorithms of tokens; `PS256`, `PS384`, `PS512` and `EdDSA` can be added."""
    oidc_addresses: tuple[str, ...] = ()
    """Addresses of issuers without a public address, as `ISSUER=ADDRESS`: a private address, or `http://` at
    loopback."""
    oidc_ca_file: str = ""
    """File with CA certificates (PEM) that are trusted for issuers, in addition to the system's certificates."""
    oidc_timeout: float = 5.0
    """Seconds to wait for a response from an issuer."""
    oidc_refresh: float = 900.0
    """Seconds after which an issuer's keys are fetched again."""
    oidc_cooldown: float = 15.0
    """Minimum seconds between two attempts to fetch an issuer's keys."""
    oidc_max_staleness: float = 86_400.0
    """Seconds for which an issuer's cached keys are used while it cannot be reached; then its tokens are rejected."""
    oidc_leeway: float = 60.0
    """Maximum difference in seconds between an issuer's clock and the server's."""

    def __post_init__(self) -> None:
        for item in fields(self):
            _check(getattr(self, item.name), str(item.type), item.name)
        for source in self.client_certificates:
            if not _SOURCE.fullmatch(source):
                message = f"expected `tls` or the name of a header in lower case, got `{source[:64]}`"
                raise ConfigurationError(message, place="client_certificates")
        for place, name in (("region", self.region), *(("regions", name) for name in self.regions)):
            if not _REGION.fullmatch(name):
                raise ConfigurationError(f"expected the name of a region, got `{name[:64]}`", place=place)
        for place, (pattern, expected) in _FORMS.items():
            given = getattr(self, place)
            if given and not pattern.fullmatch(given):
                raise ConfigurationError(f"expected {expected}, got `{given[:64]}`", place=place)
        for action in self.shadow_actions:
            if action != "*" and ":" not in action:
                message = f"expected `*` or an action or pattern such as `docs:*`, got `{action[:64]}`"
                raise ConfigurationError(message, place="shadow_actions")
        for network in self.trusted_proxies:
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError:
                message = f"expected a network such as 10.0.0.0/8, got `{network}`"
                raise ConfigurationError(message, place="trusted_proxies") from None
        for origin in self.trusted_origins:
            _check_origin(origin)
        if self.max_bodies < self.max_body:
            message = f"expected at least the {self.max_body} bytes of `max_body`, got `{self.max_bodies}`"
            raise ConfigurationError(message, place="max_bodies")
        for place, least in _LEAST.items():
            if getattr(self, place) < least:
                message = f"expected a number of {least} or more, got `{getattr(self, place)}`"
                raise ConfigurationError(message, place=place)
        if not self.store_timeout:
            raise ConfigurationError("expected a number above 0, got `0`", place="store_timeout")
        for name, (least, most) in _SESSION_SECONDS.items():
            if not least <= getattr(self, name) <= most:
                message = f"expected {least} to {most} seconds, got `{getattr(self, name)}`"
                raise ConfigurationError(message, place=name)
        if self.issuer_url:
            _check_issuer(self.issuer_url)


RENAMED: Final = {"audit_ring": "audit_queue_size"}
_OTHER_ARGUMENTS: Final = ("services", "resources", "shadow", "create")
"""The arguments of `open_guard` that are no settings, for suggestions."""
OTHER_VARIABLES: Final = {
    "IAM_GUARD_STORE": "The store of the command `iam-guard`, instead of `--store`.",
    "IAM_GUARD_ROOT_ACCESS_KEY": "The access key of `iam-guard serve`, instead of `--root-access-key`.",
    "IAM_GUARD_TEST_*": "Reserved for tests.",
    "IAM_GUARD*_SERVICE_HOST": "Ignored: Kubernetes sets it for a service whose name begins with `iam-guard`.",
    "IAM_GUARD*_SERVICE_PORT*": "Ignored, as above.",
    "IAM_GUARD*_PORT": "Ignored, as above.",
    "IAM_GUARD*_PORT_[0-9]*": "Ignored, as above.",
}
"""Environment variables that begin as those of the settings do: name or pattern -> meaning."""


def load_settings(arguments: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings. Raises `ConfigurationError` for an unknown name or an invalid value.

    An unknown name may be an argument, or a variable that begins with `IAM_GUARD_` and is not in `OTHER_VARIABLES`.
    """
    environment = os.environ if environment is None else environment
    for former, current in RENAMED.items():
        for names, place in ((arguments or {}, former), (environment, PREFIX + former.upper())):
            if place in names:
                raise ConfigurationError(f"expected the setting `{current}`, got its former name", place=place)
    settings = {item.name: item for item in fields(Settings)}
    values: dict[str, Any] = dict(arguments or {})
    for name in values:
        if name not in settings:
            hint = (
                did_you_mean(name, (*settings, *_OTHER_ARGUMENTS)) or f", expected one of {', '.join(sorted(settings))}"
            )
            raise ConfigurationError(f"unknown setting `{name}`{hint}", place=name)
    variables = {PREFIX + name.upper(): item for name, item in settings.items()}
    _check_variables(environment, variables)
    for variable, item in variables.items():
        text = environment.get(variable)
        if text is not None and item.name not in values:
            values[item.name] = _parse(text, item.type, variable)
    for name, value in values.items():
        values[name] = tuple(value) if isinstance(value, list) else value
    return Settings(**values)


def _check_variables(environment: Iterable[str], settings: Collection[str]) -> None:
    """Refuse a misspelt variable, which would leave a default in force."""
    for name in environment:
        if not name.startswith(PREFIX) or name in settings:
            continue
        if not any(fnmatchcase(name, pattern) for pattern in OTHER_VARIABLES):
            names = (*settings, *(pattern for pattern in OTHER_VARIABLES if "*" not in pattern))
            hint = did_you_mean(name, names, 0.85) or f", expected `{PREFIX}` and the name of a setting"
            raise ConfigurationError(f"unknown environment variable `{name}`{hint}", place=name)


def _check_origin(origin: str) -> None:
    """Refuse what no browser sends as the origin of a page, and an origin that can be forged on the network."""
    found = _ORIGIN.fullmatch(origin)
    if found is None or int(found["port"] or 1) > _MAX_PORT or found["port"] == _DEFAULT_PORTS[found["scheme"]]:
        message = (
            "expected an origin as browsers send it, such as `https://app.example.com` or `http://localhost:5173`: "
            "with TLS beyond loopback, in lower case, without a path, a pattern, and the default port, "
            f"got `{origin[:64]}`"
        )
        raise ConfigurationError(message, place="trusted_origins")


def _check_issuer(url: str) -> None:
    """Refuse a URL that no verifier would fetch keys from; without TLS only loopback is accepted.

    The message does not quote the URL, which may contain a password.
    """
    form = re.fullmatch(r"(https?)://(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?(/[a-z0-9._~-]+)*", url)
    if form is None or (form[1] == "http" and form[2] not in _LOOPBACK):
        message = "expected a lower-case https URL without a trailing slash, query or user"
        raise ConfigurationError(message, place="issuer_url")


_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def _check(value: Any, kind: str, name: str) -> None:
    """Refuse a value of the wrong type. The message does not quote strings and lists, which may be secret."""
    got = f"got `{type(value).__name__}`"
    if kind == "tuple[str, ...]":
        if not isinstance(value, tuple) or not all(isinstance(part, str) for part in value):
            raise ConfigurationError(f"expected a list of strings, {got}", place=name)
    elif kind == "str":
        if not isinstance(value, str):
            raise ConfigurationError(f"expected a string, {got}", place=name)
    elif isinstance(value, bool) or not isinstance(value, int if kind == "int" else (int, float)):
        raise ConfigurationError(f"expected {'a whole number' if kind == 'int' else 'a number'}, {got}", place=name)
    elif not math.isfinite(value) or value < 0:  # NaN would never exceed a limit
        raise ConfigurationError(f"expected a number of 0 or more, got `{value}`", place=name)


def _parse(text: str, kind: Any, place: str) -> Any:
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
