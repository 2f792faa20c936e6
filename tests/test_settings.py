"""Settings: the sources of values, and invalid values (settings.py)."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from click import Context

from iam_guard import open_guard
from iam_guard.cli import main
from iam_guard.cli.group import COMMANDS
from iam_guard.errors import ConfigurationError
from iam_guard.settings import Settings, load_settings
from tests.tables import table

KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I="


def test_argument_overrides_environment_and_default() -> None:
    """The order of the module's docstring."""
    environment = {"IAM_GUARD_REGION": "eu-west-1", "IAM_GUARD_MAX_BODY": "10"}
    loaded = load_settings({"region": "eu-north-1"}, environment)
    assert (loaded.region, loaded.max_body, loaded.max_header) == ("eu-north-1", 10, Settings().max_header)


def test_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IAM_GUARD_CLOCK_SKEW", "12.5")
    assert load_settings().clock_skew == 12.5


@table(
    ("text", "expected"),
    [
        ("10.0.0.0/8", ("10.0.0.0/8",)),
        (" 10.0.0.0/8 , ::1 ", ("10.0.0.0/8", "::1")),
        ("", ()),
        (",", ()),
    ],
)
def test_list_is_comma_separated(text: str, expected: tuple[str, ...]) -> None:
    assert load_settings({}, {"IAM_GUARD_TRUSTED_PROXIES": text}).trusted_proxies == expected


def test_list_argument_is_accepted() -> None:
    """Settings stay hashable."""
    loaded = load_settings({"public_hosts": ["a.example"]}, {})
    assert loaded.public_hosts == ("a.example",)
    assert hash(loaded) == hash(load_settings({"public_hosts": ("a.example",)}, {}))


def test_unknown_setting_is_refused() -> None:
    """A typing error must not leave a default in force."""
    with pytest.raises(ConfigurationError, match=r"unknown setting `max_boddy`, did you mean `max_body`\?"):
        load_settings({"max_boddy": 1}, {})
    for name, parameter in inspect.signature(open_guard).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            with pytest.raises(ConfigurationError, match=rf"unknown setting `{name}_`, did you mean `{name}`\?"):
                open_guard("sqlite://", **{f"{name}_": []})
    with pytest.raises(ConfigurationError, match=r"unknown setting `colour`, expected one of .*max_body"):
        load_settings({"colour": 1}, {})


@table(
    ("variable", "hint"),
    [
        ("IAM_GUARD_EPOCH_POL", "did you mean `IAM_GUARD_EPOCH_POLL`?"),
        ("IAM_GUARD_AUDT", "did you mean `IAM_GUARD_AUDIT`?"),
        ("IAM_GUARD_Region", "did you mean `IAM_GUARD_REGION`?"),
        ("IAM_GUARD_STOER", "did you mean `IAM_GUARD_STORE`?"),
        ("IAM_GUARD_ROOT_ACCES_KEY", "did you mean `IAM_GUARD_ROOT_ACCESS_KEY`?"),
        ("IAM_GUARD_XYLOPHONE_QUARTZ", "expected `IAM_GUARD_` and the name of a setting"),
        ("IAM_GUARD_", "expected `IAM_GUARD_` and the name of a setting"),
    ],
)
def test_unknown_variable_is_refused(variable: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_settings({}, {variable: "3"})
    assert f"unknown environment variable `{variable}`, {hint}" in str(refused.value)


def test_other_variables_are_accepted() -> None:
    """Those of the commands, of tests, of other programs, and of Kubernetes for a service named `iam-guard`."""
    kubernetes = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8750_TCP_ADDR", "API_PORT"]
    names = ["STORE", "ROOT_ACCESS_KEY", "TEST_POSTGRES", *kubernetes]
    environment = {f"IAM_GUARD_{name}": "x" for name in names} | {"_IAM_GUARD_COMPLETE": "x", "IAM_GUARDIAN": "x"}
    assert load_settings({}, environment) == Settings()


def test_variables_of_commands_are_accepted() -> None:
    """Each option's variable is in the one table."""
    variables = {
        str(option.envvar)
        for name in COMMANDS
        if (command := main.get_command(Context(main), name)) is not None
        for option in command.params
        if option.envvar
    }
    assert variables == {"IAM_GUARD_STORE", "IAM_GUARD_ROOT_ACCESS_KEY"}
    assert load_settings({}, dict.fromkeys(variables, "x")) == Settings()


@table(
    ("arguments", "message"),
    [
        ({"region": "eu west"}, "expected the name of a region, got `eu west` \\(at region"),
        ({"region": ""}, "expected the name of a region, got `` \\(at region"),
        ({"regions": ["eu-*"]}, "expected the name of a region, got `eu-\\*` \\(at regions"),
        ({"store_schema": "iam; x"}, "expected the name of a schema, got `iam; x` \\(at store_schema"),
        ({"shadow_actions": ["docs"]}, "expected `\\*` or an action or pattern such as `docs:\\*`, got `docs`"),
    ],
)
def test_invalid_text_is_refused(arguments: dict[str, Any], message: str) -> None:
    """A region without a signature could match, and a pattern that no action matches."""
    with pytest.raises(ConfigurationError, match=message):
        load_settings(arguments, {})


NUMBERS = [
    "clock_skew",
    "api_clock_skew",
    "epoch_poll",
    "max_staleness",
    "max_body",
    "max_stream",
    "max_header",
    "replay_memory",
    "cache_size",
]


@table(("arguments", "environment"), [({"audit_ring": 5}, {}), ({}, {"IAM_GUARD_AUDIT_RING": "5"})])
def test_former_name_is_refused_with_the_current_one(arguments: dict[str, Any], environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="expected the setting `audit_queue_size`") as refused:
        load_settings(arguments, environment)
    assert refused.value.place == next(iter(arguments or environment))


@table("name", NUMBERS)
@table("text", ["", "x", "-1", "nan", "inf", "-inf", "1,5", "0x10"])
def test_invalid_number_in_environment_is_refused(name: str, text: str) -> None:
    """NaN would never exceed a limit: no signature would be too old, no data too stale."""
    with pytest.raises(ConfigurationError, match="expected a number"):
        load_settings({}, {f"IAM_GUARD_{name.upper()}": text})


@table("name", NUMBERS)
@table("value", [None, "5", b"5", [], -1, float("nan"), float("inf"), True])
def test_invalid_number_argument_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_settings({name: value}, {})
    assert refused.value.place == name


def test_fraction_for_integer_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        load_settings({"max_body": 1.5}, {})
    assert load_settings({"clock_skew": 5}, {}).clock_skew == 5


@table("name", ["trusted_proxies", "public_hosts", "sealing_keys"])
@table("value", ["10.0.0.0/8", 5, None, [5], {"a": 1}])
def test_string_for_list_is_refused(name: str, value: Any) -> None:
    """A string is a sequence too: each letter would become a host."""
    with pytest.raises(ConfigurationError, match="expected a list of strings"):
        load_settings({name: value}, {})


@table("name", ["partition", "region", "audit", "sealing_key_file"])
def test_other_type_for_string_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a string"):
        load_settings({name: None}, {})


@table("network", ["proxy.example", "10.0.0.0/33", "10.0.0", "*", "10.0.0.0/8/8"])
def test_trusted_proxy_must_be_a_network(network: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a network"):
        load_settings({"trusted_proxies": [network]}, {})


def test_settings_hide_secrets() -> None:
    """Design 5: in repr and errors."""
    assert KEY not in repr(load_settings({"sealing_keys": [KEY]}, {}))
    assert KEY not in repr(load_settings({}, {"IAM_GUARD_SEALING_KEYS": KEY}))
    with pytest.raises(ConfigurationError) as refused:
        load_settings({"sealing_keys": KEY}, {})
    assert KEY not in f"{refused.value}{refused.value!r}"


@table(
    "url",
    [
        "",
        "https://iam.example.com",
        "https://iam.example.com:8443/base/of-it",
        "http://127.0.0.1:8750",
        "http://localhost",
        "http://[::1]:80",
    ],
)
def test_issuer_url_is_accepted(url: str) -> None:
    assert Settings(issuer_url=url).issuer_url == url


@table(
    "url",
    [
        "iam.example.com",
        "http://iam.example.com",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com",
        "https://iam.example.com/",
        "https://iam.example.com/base/",
        "https://IAM.example.com",
        "https://iam.example.com?x=1",
        "https://iam.example.com#x",
        "https://user:secret@iam.example.com",
        "https://iam.example.com\n",
        "file:///etc/passwd",
    ],
)
def test_unverifiable_issuer_url_is_refused(url: str) -> None:
    """No plain HTTP except loopback, nothing that verifiers would compare differently."""
    with pytest.raises(ConfigurationError, match="expected a lower-case https URL") as caught:
        Settings(issuer_url=url)
    assert "secret" not in str(caught.value)


@table(("name", "least"), [("password_memory", 8), ("password_passes", 1)])
def test_password_cost_has_a_minimum(name: str, least: int) -> None:
    """That of Argon2id."""
    assert getattr(load_settings({name: least}, {}), name) == least
    with pytest.raises(ConfigurationError, match=f"expected a number of {least} or more, got `{least - 1}`"):
        load_settings({name: least - 1}, {})
