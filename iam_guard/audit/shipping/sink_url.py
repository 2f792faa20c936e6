"""A sink as people write it: a URL, and after `#` what is for us and not for the other side.

    nats://broker:4222/iam-guard.audit#name=siem&create=AUDIT
    https://hooks.example.com/audit?tenant=7#form=ocsf&filter=outcome=*Denied
    otlp+https://collector.example.com
    file:/var/log/docs/audit.jsonl#form=ocsf
    -

A URL may hold a password, and its path a secret, so neither is in a name, an error or a repr: what is told is the
scheme, the host and the port.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from iam_guard.audit.consumer.start_position import Start, moment
from iam_guard.audit.export.export_formats import FORMS
from iam_guard.errors import ConfigurationError

KINDS: Mapping[str, tuple[str, frozenset[str]]] = {
    "stdout": ("stdout", frozenset()),
    "file": ("file", frozenset()),
    "https": ("webhook", frozenset({"secret_file", "ca_file", "timeout"})),
    "http": ("webhook", frozenset({"secret_file", "ca_file", "timeout"})),
    "otlp+http": ("otlp", frozenset({"ca_file", "timeout"})),
    "otlp+https": ("otlp", frozenset({"ca_file", "timeout"})),
    "nats": ("nats", frozenset("create max_bytes max_age replicas creds token_file timeout".split())),
    "nats+tls": ("nats", frozenset("create max_bytes max_age replicas creds token_file ca_file timeout".split())),
}
"""Scheme -> the kind of sink, and the options that it has besides those that all have."""

COMMON = frozenset({"name", "form", "filter", "since", "batch"})
MAX_OF_A_BATCH = 5000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_PLACE = "audit_sinks"


@dataclass(frozen=True, slots=True)
class SinkUrl:
    """One sink, read and checked as far as that can be done without its driver."""

    kind: str
    name: str
    """What its group of consumers, its metrics and its log lines are called."""
    place: str
    """Where it is, as far as that may be told."""
    url: SplitResult = field(repr=False)
    """Without what stands after `#`."""
    filters: tuple[str, ...] = ()
    form: str = "record"
    since: Start = "earliest"
    batch: int = 256
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str, *, defaults: Mapping[str, str] | None = None, filters: tuple[str, ...] = ()) -> SinkUrl:
        """Read a sink; raise `ConfigurationError` for one that is none.

        `defaults` are options that count where the URL does not say them; `filters` count besides its own.
        """
        url, given = _split(text)
        kind, own = KINDS[url.scheme]
        pairs = _options(given, COMMON | own, kind)
        chosen: dict[str, str] = dict(defaults or {}) | {name: value for name, value in pairs if name != "filter"}
        wanted = (*filters, *(value for name, value in pairs if name == "filter"))
        if kind == "otlp" and chosen.pop("form", "otel") != "otel":
            raise ConfigurationError("a sink `otlp` has no form but `otel`", place=_PLACE)
        place = _place_of(url)
        return cls(
            kind=kind,
            name=_name(chosen.pop("name", "") or _made_name(kind, url, place)),
            place=place,
            url=url,
            filters=wanted,
            form=_form(chosen.pop("form", "record")),
            since=_since(chosen.pop("since", "earliest")),
            batch=whole_number(chosen.pop("batch", "256"), "batch", most=MAX_OF_A_BATCH),
            options=chosen,
        )

    @property
    def group(self) -> str:
        """The group of consumers that follows the trail for this sink."""
        return f"ship-{self.name}"

    def seconds(self, option: str, otherwise: float) -> float:
        """Return an option that is a number of seconds."""
        text = self.options.get(option)
        if text is None:
            return otherwise
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0.0 < value <= 3600.0:
            raise ConfigurationError(f"expected seconds for `{option}`, got `{text[:20]}`", place=_PLACE)
        return value


def whole_number(text: str, option: str, *, most: int) -> int:
    """Read an option that counts something; raise `ConfigurationError` for what is no number from 1 to `most`."""
    if not re.fullmatch(r"[0-9]{1,18}", text) or not 0 < int(text) <= most:
        raise ConfigurationError(f"expected a number from 1 to {most} for `{option}`", place=_PLACE)
    return int(text)


def _split(text: str) -> tuple[SplitResult, str]:
    """Tell the URL from what is for us."""
    address, _, given = ("stdout:" + text[1:] if re.match(r"-(#|$)", text) else text).partition("#")
    try:
        url = urlsplit(address)
        is_whole = bool(url.path) if url.scheme == "file" else url.scheme == "stdout" or bool(url.hostname)
        _ = url.port  # read now, since it raises
    except ValueError:
        raise ConfigurationError("expected the URL of a sink", place=_PLACE) from None
    if url.scheme not in KINDS or not re.match(r"[a-z+]+:", address):
        known = ", ".join(sorted(KINDS))
        raise ConfigurationError(f"expected `-` or a URL with one of the schemes {known} for a sink", place=_PLACE)
    if not is_whole or not address.isascii() or re.search(r"[\x00-\x20\x7f]", address):
        raise ConfigurationError(f"expected a whole URL of the scheme `{url.scheme}`", place=_PLACE)
    if url.query and url.scheme not in ("http", "https"):
        raise ConfigurationError(f"options of a sink `{url.scheme}` stand after `#`, not after `?`", place=_PLACE)
    return url, given


def _options(given: str, known: frozenset[str], kind: str) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(given, keep_blank_values=True, strict_parsing=True) if given else []
    except ValueError:
        raise ConfigurationError(
            "expected `name=value` after the `#` of a sink, with `&` between", place=_PLACE
        ) from None
    for name, _ in pairs:
        if name not in known:
            told = name[:40] if re.fullmatch(r"[a-z_]+", name) else "?"
            message = f"a sink `{kind}` has no option `{told}`, it has {', '.join(sorted(known))}"
            raise ConfigurationError(message, place=_PLACE)
    names = [name for name, _ in pairs if name != "filter"]
    if len(set(names)) < len(names):
        raise ConfigurationError("an option of a sink is given twice", place=_PLACE)
    return pairs


def _place_of(url: SplitResult) -> str:
    if url.scheme == "stdout":
        return "standard output"
    if url.scheme == "file":
        return unquote(url.path)
    host = f"[{url.hostname}]" if ":" in str(url.hostname) else str(url.hostname)
    return f"{url.scheme}://{host}" + ("" if url.port is None else f":{url.port}")


def _made_name(kind: str, url: SplitResult, place: str) -> str:
    """Make a name that stays while the password, the query and the options change."""
    if kind == "stdout":
        return kind
    told = unquote(url.path).rpartition("/")[2] if kind == "file" else place.partition("://")[2]
    digest = hashlib.sha256(f"{place} {url.path}".encode()).hexdigest()[:8]
    return f"{kind}-{re.sub(r'[^A-Za-z0-9.-]+', '-', told).strip('-')[:40]}-{digest}"


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ConfigurationError("expected letters, digits, `.`, `_` and `-` for the name of a sink", place=_PLACE)
    return text


def _form(text: str) -> str:
    if text not in FORMS:
        raise ConfigurationError(f"expected one of {', '.join(FORMS)} for the form of a sink", place=_PLACE)
    return text


def _since(text: str) -> Start:
    match text:
        case "earliest" | "latest":
            return text
    return moment(text, place=_PLACE)
