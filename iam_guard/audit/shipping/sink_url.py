"""Sink URLs: the URL of the destination, and our options after `#`.

    nats://broker:4222/iam-guard.audit#name=siem&create=AUDIT
    https://hooks.example.com/audit?tenant=7#form=ocsf&filter=outcome=*Denied
    otlp+https://collector.example.com
    file:/var/log/docs/audit.jsonl#form=ocsf
    -

A URL may contain a password, and its path a secret, so names, errors and reprs show only scheme, host and port.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from iam_guard.audit.consumer.start_position import Start, parse_start
from iam_guard.audit.export import FORMS
from iam_guard.errors import ConfigurationError

_NATS = frozenset("create max_bytes max_age replicas creds token_file timeout".split())

_KINDS: Mapping[str, Mapping[str, frozenset[str]]] = {
    "stdout": {"stdout": frozenset()},
    "file": {"file": frozenset()},
    "webhook": dict.fromkeys(("https", "http"), frozenset({"secret_file", "ca_file", "timeout"})),
    "otlp": dict.fromkeys(("otlp+http", "otlp+https"), frozenset({"ca_file", "timeout"})),
    "nats": {"nats": _NATS, "nats+tls": _NATS | {"ca_file"}},
}
"""The kinds of sinks, whose `connector` is in the module `to_<kind>`: URL schemes, and their own options."""

_KIND_OF_SCHEME = {scheme: kind for kind, schemes in _KINDS.items() for scheme in schemes}

COMMON = frozenset({"name", "form", "filter", "since", "batch"})
MAX_BATCH = 5000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_PLACE = "audit_sinks"


@dataclass(frozen=True, slots=True)
class SinkUrl:
    """One sink, parsed and validated as far as possible without its driver."""

    kind: str
    name: str
    """The name in its consumer group, metrics and log lines."""
    place: str
    """The location without secrets."""
    url: SplitResult = field(repr=False)
    """The URL without the part after `#`."""
    filters: tuple[str, ...] = ()
    form: str = "record"
    since: Start = "earliest"
    batch: int = 256
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str, *, defaults: Mapping[str, str] | None = None, filters: tuple[str, ...] = ()) -> SinkUrl:
        """Parse a sink URL; raise `ConfigurationError` for an invalid one.

        `defaults` are options that the URL may override; `filters` apply in addition to its own.
        """
        url, fragment = _split(text)
        kind = _KIND_OF_SCHEME[url.scheme]
        pairs = _options(fragment, COMMON | _KINDS[kind][url.scheme], kind)
        options: dict[str, str] = dict(defaults or {}) | {name: value for name, value in pairs if name != "filter"}
        if kind == "otlp" and options.pop("form", "otel") != "otel":
            raise sink_error("expected the form `otel` for a sink `otlp`")
        place = _place_without_secrets(url)
        return cls(
            kind=kind,
            name=_name(options.pop("name", "") or _default_name(kind, url, place)),
            place=place,
            url=url,
            filters=(*filters, *(value for name, value in pairs if name == "filter")),
            form=_form(options.pop("form", "record")),
            since=parse_start(options.pop("since", "earliest"), place=_PLACE),
            batch=whole_number(options.pop("batch", "256"), "batch", maximum=MAX_BATCH),
            options=options,
        )

    @property
    def group(self) -> str:
        return f"ship-{self.name}"

    def seconds(self, option: str, default: float) -> float:
        """Return an option in seconds; raise `ConfigurationError` unless it is above 0 and at most 3600."""
        text = self.options.get(option)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0.0 < value <= 3600.0:
            raise sink_error(f"expected seconds for `{option}`, got `{text[:20]}`")
        return value


def sink_error(message: str) -> ConfigurationError:
    """Return the error for an invalid sink in the settings."""
    return ConfigurationError(message, place=_PLACE)


def whole_number(text: str, option: str, *, maximum: int) -> int:
    """Parse an integer option; raise `ConfigurationError` unless it is from 1 to `maximum`."""
    if not re.fullmatch(r"[0-9]{1,18}", text) or not 0 < int(text) <= maximum:
        raise sink_error(f"expected a number from 1 to {maximum} for `{option}`")
    return int(text)


def _split(text: str) -> tuple[SplitResult, str]:
    """Return the URL of the destination, and our options after `#`."""
    address, _, fragment = ("stdout:" + text[1:] if re.match(r"-(#|$)", text) else text).partition("#")
    try:
        url = urlsplit(address)
        is_complete = bool(url.path) if url.scheme == "file" else url.scheme == "stdout" or bool(url.hostname)
        _ = url.port  # raises if invalid
    except ValueError:
        raise sink_error("expected the URL of a sink") from None
    if url.scheme not in _KIND_OF_SCHEME or not re.match(r"[a-z+]+:", address):
        schemes = ", ".join(sorted(_KIND_OF_SCHEME))
        raise sink_error(f"expected `-` or a URL with one of the schemes {schemes} for a sink")
    if not is_complete or not address.isascii() or re.search(r"[\x00-\x20\x7f]", address):
        raise sink_error(f"expected a complete URL of the scheme `{url.scheme}`")
    if url.query and url.scheme not in ("http", "https"):
        raise sink_error(f"expected the options of a sink `{url.scheme}` after `#`, got them after `?`")
    return url, fragment


def _options(fragment: str, known: frozenset[str], kind: str) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(fragment, keep_blank_values=True, strict_parsing=True) if fragment else []
    except ValueError:
        raise sink_error("expected `name=value` pairs joined by `&` after `#` in a sink") from None
    for name, _ in pairs:
        if name not in known:
            shown = name[:40] if re.fullmatch(r"[a-z_]+", name) else "?"
            raise sink_error(f"expected options of a sink `{kind}` ({', '.join(sorted(known))}), got `{shown}`")
    names = [name for name, _ in pairs if name != "filter"]
    if len(set(names)) < len(names):
        raise sink_error("expected each option of a sink once, got one twice")
    return pairs


def _place_without_secrets(url: SplitResult) -> str:
    if url.scheme == "stdout":
        return "standard output"
    if url.scheme == "file":
        return unquote(url.path)
    host = f"[{url.hostname}]" if ":" in str(url.hostname) else str(url.hostname)
    return f"{url.scheme}://{host}" + ("" if url.port is None else f":{url.port}")


def _default_name(kind: str, url: SplitResult, place: str) -> str:
    """Return a name that doesn't depend on the password, the query and the options."""
    if kind == "stdout":
        return kind
    target = unquote(url.path).rpartition("/")[2] if kind == "file" else place.partition("://")[2]
    digest = hashlib.sha256(f"{place} {url.path}".encode()).hexdigest()[:8]
    return f"{kind}-{re.sub(r'[^A-Za-z0-9.-]+', '-', target).strip('-')[:40]}-{digest}"


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise sink_error("expected a sink name of letters, digits, `.`, `_` and `-`")
    return text


def _form(text: str) -> str:
    if text not in FORMS:
        raise sink_error(f"expected one of {', '.join(FORMS)} for the form of a sink")
    return text
