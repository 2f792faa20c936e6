from __future__ import annotations

from decimal import Decimal, localcontext
from ipaddress import ip_address, ip_network
from time import thread_time

from hypothesis import given
from hypothesis import strategies as st

from iam_guard.policy.value_parsing import address, block, boolean, folded, instant, instant_in_request, number, octets
from tests.tables import table


@table(
    ("text", "value"),
    [
        ("2", 2),
        ("2.0", 2),
        ("-1.50", Decimal("-1.5")),
        ("+3", 3),
        ("1e3", None),
        ("", None),
        (" 1", None),
        (".5", None),
        ("1.", None),
        ("٣", None),
        ("NaN", None),
        ("0x10", None),
    ],
)
def test_numbers(text: str, value: object) -> None:
    """C-13: integers and decimals with an optional sign, in ASCII digits."""
    assert number(text) == value


@table(
    ("text", "value"),
    [
        ("0", 0),
        ("2026", 2026),  # C-16: epoch seconds, never a year
        ("1970-01", 0),
        ("1970-01-02", 86400),
        ("1970-01-01T00:01Z", 60),
        ("1970-01-01t00:00:01.5z", Decimal("1.5")),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00-0130", None),
        ("1970-01-01T00:00:00", 0),
        ("1969-12-31T23:59:59Z", -1),
        ("2026-02-30", None),
        ("2026-01-01T24:00:00Z", None),
        ("2026-01-*", None),
        ("1.5", None),
        ("0001-01-01T00:00Z", -62135596800),
        ("01T", -62135596800),
        ("-1", -62198755200),  # the year before the year 0
        ("12000-03-01T1", 316521392400),
        ("-292275054", -9223372017043200),
        ("292278993-12-31", 9223372017043200),
        ("-292275055-01", None),
        ("292278994-01", None),
        ("1970-1-2T1:2:3+01", 86400 + 2 * 60 + 3),
        ("1970-01-01T00:00:60Z", None),
        ("1970-13", None),
        ("1970-001", None),
        ("1970-01-01Z", None),
        ("+5", None),
        ("T10", None),
        ("", None),
    ],
)
def test_instants(text: str, value: object) -> None:
    """C-15, C-16, C-17."""
    assert instant(text) == value


def test_request_dates_can_have_fractions_of_seconds() -> None:
    """C-13: in the context, not in a policy."""
    assert (instant_in_request("1.5"), instant("1.5")) == (Decimal("1.5"), None)


def test_booleans_base64_and_case_folding() -> None:
    """C-18, C-19, C-44."""
    assert (boolean("TRUE"), boolean("false"), boolean("1"), boolean("")) == (True, False, None, None)
    assert (octets("QmluYXJ5"), octets("%"), octets("")) == (b"Binary", None, b"")
    assert folded("StraßeÉ") == "straßeé"


@given(st.ip_addresses(), st.data())
def test_blocks_match_the_standard_library(host: object, data: st.DataObject) -> None:
    """C-20 to C-23: a block has the same addresses, IPv4 and IPv6 never match each other, host bits are ignored."""
    length = data.draw(st.integers(0, ip_address(str(host)).max_prefixlen))
    other = data.draw(st.ip_addresses())
    found, value = block(f"{host}/{length}"), address(str(other))
    assert found is not None
    assert value is not None
    assert (value & found[0] == found[1]) == (other in ip_network(f"{host}/{length}", strict=False))


@table(
    "text", ["", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.0/33", "10.0.0.0/", "::/129", "fe80::1%eth0", "*", "a/8"]
)
def test_invalid_block_is_none(text: str) -> None:
    """C-20."""
    assert block(text) is None


@given(st.text(max_size=30) | st.text("0123456789.:/-TZ+", max_size=30))
def test_any_text_is_parsed_or_none(text: str) -> None:
    """No parser raises."""
    for read in (number, instant, instant_in_request, boolean, octets, address, block, folded):
        read(text)


def test_decimal_precision_of_the_thread_does_not_round() -> None:
    """C-15: exact values do not depend on the decimal context of the application."""
    with localcontext(prec=5):
        assert instant("2026-01-01T00:00:00.25Z") == Decimal("1767225600.25")
        assert number("123456.789") == Decimal("123456.789")


@table(
    "text",
    [
        "9" * 100_000,
        "9" * 100_000 + "." + "9" * 100_000,
        "2026-01-01T00:00:00." + "9" * 100_000,
        "." * 100_000,
        ":" * 100_000,
        "10.0.0.0/" + "9" * 100_000,
        "fe80::1%" + "e" * 100_000,
        "A" * 100_001,
        "%" * 100_000,
        "ǅ" * 100_000,
    ],
)
def test_long_texts_are_parsed_in_linear_time(text: str) -> None:
    """The limit is generous: it detects only what is not linear."""
    begun = thread_time()
    for read in (number, instant, instant_in_request, boolean, octets, address, block, folded):
        value = read(text)
        assert value is None or (value == read(text) and hash(value) is not None)
    assert thread_time() - begun < 10
