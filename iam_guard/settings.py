"""One frozen Settings, made from arguments and environment variables, once.

An argument wins over the environment variable `IAM_GUARD_<NAME>`, which wins over the default. Must not live here: what
a setting does.
"""

from __future__ import annotations

import ipaddress
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from iam_guard.errors import ConfigurationError

PREFIX = "IAM_GUARD_"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. Each field's docstring is its line in the reference."""

    partition: str = "aws"
    """The partition of the ARNs of our own resources."""
    region: str = "us-east-1"
    """The region of the application, for ARNs, `aws:RequestedRegion` and the audit record."""
    clock_skew: float = 300.0
    """Seconds by which a signature's time may differ from ours, either way."""
    max_body: int = 16 * 1024 * 1024
    """Bytes of a signed request's body that are read to check its hash; more is refused."""
    max_header: int = 64 * 1024
    """Bytes of all header names and values together; more is refused."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed; none by default."""
    public_hosts: tuple[str, ...] = ()
    """Names that clients may have signed as `Host` when a proxy rewrites it; tried after the header itself."""
    audit: str = ""
    """Where audit records go: empty for nowhere, `-` for standard output, else a file path."""
    audit_key_file: str = ""
    """A file with the keys of the audit trail's checkpoints, one a line, of which the first signs; made by
    `iam-guard init` beside an SQLite store."""
    audit_verifier_keys: tuple[str, ...] = ()
    """Public keys (`name+id+base64`) that verify checkpoints of the audit trail, besides those of the file."""
    epoch_poll: float = 0.5
    """Seconds between two looks at the store's epoch."""
    max_staleness: float = 300.0
    """Seconds to go on deciding with what is cached while the store cannot be reached; then everything is denied."""
    cache_size: int = 10_000
    """Entries in each of the caches of credentials, principals, accounts and resources."""
    sealing_keys: tuple[str, ...] = field(default=(), repr=False)
    """Base64 AES-256 keys that seal secrets at rest; the first seals, all of them open."""
    sealing_key_file: str = ""
    """A file with one such key a line; made by `iam-guard init` beside an SQLite store."""

    def __post_init__(self) -> None:
        for item in fields(self):
            _check(getattr(self, item.name), str(item.type), item.name)
        for network in self.trusted_proxies:
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError:
                message = f"expected a network such as 10.0.0.0/8, got `{network}`"
                raise ConfigurationError(message, place="trusted_proxies") from None


def load(arguments: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Make Settings; raise `ConfigurationError` for an unknown name or an unreadable value."""
    environment = os.environ if environment is None else environment
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
