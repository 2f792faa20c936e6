"""Settings: where a value comes from, and what is refused (settings.py)."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard.errors import ConfigurationError
from iam_guard.settings import Settings, load

KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I="


def test_an_argument_wins_over_the_environment_which_wins_over_the_default() -> None:
    """The order of the module's docstring."""
    environment = {"IAM_GUARD_REGION": "eu-west-1", "IAM_GUARD_MAX_BODY": "10"}
    loaded = load({"region": "eu-north-1"}, environment)
    assert (loaded.region, loaded.max_body, loaded.max_header) == ("eu-north-1", 10, Settings().max_header)


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IAM_GUARD_CLOCK_SKEW", "12.5")
    assert load().clock_skew == 12.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.0/8", ("10.0.0.0/8",)),
        (" 10.0.0.0/8 , ::1 ", ("10.0.0.0/8", "::1")),
        ("", ()),
        (",", ()),
    ],
)
def test_a_list_is_written_with_commas(text: str, expected: tuple[str, ...]) -> None:
    assert load({}, {"IAM_GUARD_TRUSTED_PROXIES": text}).trusted_proxies == expected


def test_a_list_may_be_given_as_a_list() -> None:
    """Settings are hashable all the same."""
    loaded = load({"public_hosts": ["a.example"]}, {})
    assert loaded.public_hosts == ("a.example",)
    assert hash(loaded) == hash(load({"public_hosts": ("a.example",)}, {}))


def test_an_unknown_name_is_refused() -> None:
    """A typing error must not leave a default in force."""
    with pytest.raises(ConfigurationError, match=r"unknown setting `max_boddy`, known are .*max_body"):
        load({"max_boddy": 1}, {})


NUMBERS = [
    "clock_skew",
    "epoch_poll",
    "max_staleness",
    "max_body",
    "max_stream",
    "max_header",
    "replay_memory",
    "cache_size",
]


@pytest.mark.parametrize(("arguments", "environment"), [({"audit_ring": 5}, {}), ({}, {"IAM_GUARD_AUDIT_RING": "5"})])
def test_former_name_names_the_present_one(arguments: dict[str, Any], environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="expected the setting `audit_queue_size`") as refused:
        load(arguments, environment)
    assert refused.value.place == next(iter(arguments or environment))


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "inf", "-inf", "1,5", "0x10"])
def test_a_bad_number_in_the_environment_is_refused(name: str, text: str) -> None:
    """Not-a-number would be over no limit: no signature would ever be too old, no state too stale."""
    with pytest.raises(ConfigurationError, match="expected a number"):
        load({}, {f"IAM_GUARD_{name.upper()}": text})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [None, "5", b"5", [], -1, float("nan"), float("inf"), True])
def test_a_bad_number_as_an_argument_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load({name: value}, {})
    assert refused.value.place == name


def test_a_whole_number_has_no_fraction() -> None:
    with pytest.raises(ConfigurationError):
        load({"max_body": 1.5}, {})
    assert load({"clock_skew": 5}, {}).clock_skew == 5


@pytest.mark.parametrize("name", ["trusted_proxies", "public_hosts", "sealing_keys"])
@pytest.mark.parametrize("value", ["10.0.0.0/8", 5, None, [5], {"a": 1}])
def test_a_list_is_no_text(name: str, value: Any) -> None:
    """A text is a sequence of texts too: each of its letters would pass for a host."""
    with pytest.raises(ConfigurationError, match="expected a list of texts"):
        load({name: value}, {})


@pytest.mark.parametrize("name", ["partition", "region", "audit", "sealing_key_file"])
def test_a_text_is_a_text(name: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a text"):
        load({name: None}, {})


@pytest.mark.parametrize("network", ["proxy.example", "10.0.0.0/33", "10.0.0", "*", "10.0.0.0/8/8"])
def test_a_trusted_proxy_is_a_network(network: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a network"):
        load({"trusted_proxies": [network]}, {})


def test_no_secret_is_shown() -> None:
    """Design 5: not in a repr, not in an error."""
    assert KEY not in repr(load({"sealing_keys": [KEY]}, {}))
    assert KEY not in repr(load({}, {"IAM_GUARD_SEALING_KEYS": KEY}))
    with pytest.raises(ConfigurationError) as refused:
        load({"sealing_keys": KEY}, {})
    assert KEY not in f"{refused.value}{refused.value!r}"


@pytest.mark.parametrize(
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
def test_an_issuer_is_an_address_of_the_web(url: str) -> None:
    assert Settings(issuer_url=url).issuer_url == url


@pytest.mark.parametrize(
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
def test_what_nobody_could_verify_is_no_issuer(url: str) -> None:
    """No plain HTTP but to this machine, nothing that a verifier would compare otherwise than we write it."""
    with pytest.raises(ConfigurationError, match="expected an https URL") as caught:
        Settings(issuer_url=url)
    assert "secret" not in str(caught.value)
