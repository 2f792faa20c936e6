"""Sink URLs: parsing, validation, and secrecy."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.audit.open_trail import open_audit_log
from iam_guard.audit.shipping.destination import retry_after
from iam_guard.audit.shipping.destinations import open_sinks
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.verify.signing_keys import create_signing_key_file
from iam_guard.errors import ConfigurationError, IamGuardError
from iam_guard.settings import Settings, load_settings
from tests.tables import table

SECRET = "pl4nted"
WHSEC = "whsec_" + "bm9ib2R5IGtub3dzIHRoaXMgc2VjcmV0IGJ1dCB1cyE="


def test_sink_url_parses_options_after_hash() -> None:
    url = SinkUrl.parse(
        "nats://broker:4223/audit.docs#name=siem&form=ocsf&filter=outcome=*Denied&filter=action=docs:*"
        "&since=2026-11-25T04:00:00Z&batch=10&create=AUDIT"
    )
    assert (url.kind, url.name, url.group, url.place) == ("nats", "siem", "ship-siem", "nats://broker:4223")
    assert (url.form, url.batch, url.filters) == ("ocsf", 10, ("outcome=*Denied", "action=docs:*"))
    assert url.since == datetime(2026, 11, 25, 4, tzinfo=UTC)
    assert url.options == {"create": "AUDIT"}


def test_sink_url_defaults_apply() -> None:
    url = SinkUrl.parse("-#form=otel", defaults={"form": "ocsf", "name": "screen"}, filters=("kind=decision",))
    assert (url.form, url.name, url.filters, url.since, url.place) == (
        *("otel", "screen", ("kind=decision",), "earliest"),
        "standard output",
    )
    assert SinkUrl.parse("-").name == "stdout"
    assert SinkUrl.parse("https://hooks.example.com/a?tenant=7#form=ocsf").url.query == "tenant=7"


def test_default_name_ignores_password_query_and_options() -> None:
    names = {
        SinkUrl.parse(each).name
        for each in (
            "nats://broker/audit",
            "nats://user:one@broker/audit",
            "nats://user:two@broker/audit#form=ocsf",
        )
    }
    assert len(names) == 1
    assert SinkUrl.parse("nats://broker/other").name not in names
    hooks = {SinkUrl.parse(f"https://hooks.example.com/{each}").name for each in "ab"}
    assert len(hooks) == 2
    assert all(hook.startswith("webhook-hooks.example.com-") for hook in hooks)


@table(
    "text",
    [
        f"nats://user:{SECRET}@broker:4222/audit",
        f"nats://{SECRET}@broker:4222",
        f"https://hooks.example.com/{SECRET}/in?token={SECRET}#name=siem",
        f"otlp+https://collector/{SECRET}",
        f"nats://broker#create={SECRET}",
    ],
)
def test_sink_url_shows_no_secret(text: str) -> None:
    """Not in its name, place or repr, nor in the repr of the settings."""
    url = SinkUrl.parse(text)
    assert SECRET not in f"{url!r} {url.name} {url.group} {url.place}"
    assert SECRET not in repr(Settings(audit_sinks=(text,), audit_webhook_secrets=(SECRET,)))


@table(
    "text",
    [
        "",
        "siem",
        f"ftp://user:{SECRET}@host",
        f"nats://user:{SECRET}@",
        f"nats://user:{SECRET}@host:port",
        f"nats://user:{SECRET}@[::1",
        f"nats://user:{SECRET}@host?create=A",
        f"nats://user:{SECRET}@host#{SECRET}",
        f"nats://user:{SECRET}@host#{SECRET}=1",
        f"nats://user:{SECRET}@host#name=a&name=b",
        f"nats://user:{SECRET}@host#name={SECRET}%20",
        f"nats://user:{SECRET}@host#form={SECRET}",
        f"nats://user:{SECRET}@host#batch=0",
        f"nats://user:{SECRET}@host#batch=1e9",
        f"nats://user:{SECRET}@host#since=yesterday",
        f"nats://user:{SECRET}@h\u00f6st",
        f"nats://user:{SECRET}@ho st",
        f"https://host/{SECRET}#create=A",
        f"otlp+https://host/{SECRET}#form=ocsf",
        "file:",
    ],
)
def test_malformed_sink_url_raises_without_secret(text: str) -> None:
    with pytest.raises(IamGuardError) as refusal:
        SinkUrl.parse(text)
    assert SECRET not in str(refusal.value)
    assert "\n" not in str(refusal.value)


@given(st.text(max_size=60))
def test_any_text_parses_or_raises_our_error(text: str) -> None:
    for url in (text, f"nats://{text}", f"-#{text}", f"https://host/{text}"):
        try:
            SinkUrl.parse(url)
        except IamGuardError:
            continue


@pytest.mark.parametrize(
    ("text", "secrets", "message"),
    [
        ("http://hooks.example.com/in", (WHSEC,), "https"),
        ("https://user@hooks.example.com/in", (WHSEC,), "without user and password"),
        ("https://hooks.example.com/in", (), "secret"),
        ("https://hooks.example.com/in", ("whsec_short",), "24 to 64"),
        ("https://hooks.example.com/in#timeout=0", (WHSEC,), "timeout"),
        ("https://hooks.example.com/in#secret_file=nowhere", (), "nowhere"),
        ("https://hooks.example.com/in#ca_file=nowhere", (WHSEC,), "nowhere"),
        ("otlp+https://collector#ca_file=nowhere", (), "nowhere"),
        ("otlp+https://user:password@collector", (), "OTEL_EXPORTER_OTLP_HEADERS"),
        ("nats://user:password@broker.example.com", (), "nats+tls"),
        ("nats://token@broker.example.com", (), "nats+tls"),
        ("nats://127.0.0.1/a..b", (), "subject"),
        ("nats://127.0.0.1/a.*", (), "subject"),
        ("nats://127.0.0.1#max_bytes=10", (), "create"),
        ("nats://127.0.0.1#create=A&max_bytes=0", (), "max_bytes"),
        ("nats://127.0.0.1#create=a.b", (), "a stream name"),
        ("nats://token@127.0.0.1#token_file=x", (), "one of"),
        ("nats://127.0.0.1#creds=nowhere", (), "nowhere"),
        ("file:nowhere/audit.jsonl", (), "folder"),
        ("file://host/audit.jsonl", (), "folder"),
        ("stdout:x", (), "stdout"),
    ],
)
def test_invalid_sink_raises_when_the_trail_is_opened(
    text: str, secrets: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        open_sinks([SinkUrl.parse(text)], webhook_secrets=secrets)


def test_sinks_with_duplicate_name_raise() -> None:
    with pytest.raises(ConfigurationError, match="two sinks named `stdout`"):
        open_sinks([SinkUrl.parse("-"), SinkUrl.parse("-#form=ocsf")])


# --- settings --------------------------------------------------------------------------------------------------------


def test_sinks_are_read_from_settings() -> None:
    environment = {"IAM_GUARD_AUDIT_SINKS": "nats://broker#create=A, -#filter=kind=a%2Cb"}
    chosen = load_settings({}, environment)
    assert [SinkUrl.parse(sink).kind for sink in chosen.audit_sinks] == ["nats", "stdout"]
    assert SinkUrl.parse(chosen.audit_sinks[1]).filters == ("kind=a,b",)


def test_sinks_without_trail_folder_raise(tmp_path: Path) -> None:
    for audit in ("", "-", str(tmp_path / "audit.jsonl")):
        with pytest.raises(ConfigurationError, match="sinks follow a trail in a folder"):
            open_audit_log(Settings(audit=audit, audit_sinks=("-",)), None)


def test_invalid_sink_prevents_opening_the_log(tmp_path: Path) -> None:
    create_signing_key_file(tmp_path / "key")
    settings = Settings(audit=f"{tmp_path}/trail/", audit_key_file=str(tmp_path / "key"), audit_sinks=("nonsense",))
    with pytest.raises(ConfigurationError, match="audit_sinks"):
        open_audit_log(settings, None)


# --- Retry-After -----------------------------------------------------------------------------------------------------


@table(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Wed, 25 Nov 2026 04:00:30 GMT", 30.0),
        ("Wed, 25 Nov 2026 03:00:00 GMT", 0.0),
        ("Wed, 25 Nov 2026 04:00:30", 30.0),
        ("", 0.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("1e9", 0.0),
        ("9" * 400, 999_999_999.0),
    ],
)
def test_retry_after_parses_seconds_or_date(text: str, seconds: float) -> None:
    assert retry_after(text, datetime(2026, 11, 25, 4, tzinfo=UTC).timestamp()) == seconds
