"""Checks of condition values against their operators (rules C-10 to C-24, C-34, C-42, N-10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_interface, ip_network

from iam_guard.policy.document import LATEST
from iam_guard.policy.fault import LEGACY_PARSING, SYNTAX_ERRORS, Fault, ParsedCondition, Reading, Rule, conditions
from iam_guard.policy.grammar import WILDCARD, quoted
from iam_guard.policy.value_parsing import Number, block, boolean, instant, number, octets

_PRIVATE = [ip_network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]  # C-24
_WITHOUT_WILDCARDS = frozenset(
    {"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"}
)
_ORDERED = ("NumericLess", "NumericGreater")


def _typed(
    *families: str, code: str, read: Callable[[str], object], expected: str, sentence: str = SYNTAX_ERRORS
) -> Rule:
    """Create the rule that every value of the operators of the families can be parsed."""

    def rule(reading: Reading) -> Iterator[Fault]:
        for tested in conditions(reading.document):
            if not tested.operator.base.startswith(families):
                continue
            for value, path in tested.values():
                if read(value) is None and not _has_variable(value, tested, reading):
                    yield Fault(code, f"expected {expected}, got {quoted(value)}", path, sentence)

    return rule


def _has_variable(value: str, tested: ParsedCondition, reading: Reading) -> bool:
    """Return whether a value contains a variable, and its operator supports that (V-3, V-5)."""
    return reading.document.version == LATEST and "${" in value and tested.operator.base.startswith(("Arn", "Bool"))


def _arn(value: str) -> list[str] | None:
    fields = value.split(":", 5)
    return fields if len(fields) == 6 else None  # C-27


def _storable_date(value: str) -> Number | None:
    """Parse a date that fits into 64 bits; evaluation takes more digits."""
    parsed = instant(value)
    return None if parsed is None or parsed >= 2**63 else parsed


numbers = _typed("Numeric", code="TYPE_MISMATCH_NUMBER", read=number, expected="a number")  # C-13
dates = _typed(
    "Date",
    code="TYPE_MISMATCH_DATE",
    read=_storable_date,
    expected="a date such as `2026-01-31T00:00:00Z` or epoch seconds",
    sentence=LEGACY_PARSING,
)  # C-15
booleans = _typed("Bool", "Null", code="TYPE_MISMATCH_BOOLEAN", read=boolean, expected="`true` or `false`")  # C-18
binaries = _typed("Binary", code="TYPE_MISMATCH_STRING", read=octets, expected="base64")  # C-19
addresses = _typed(
    "IpAddress", "NotIpAddress", code="TYPE_MISMATCH_IP_RANGE", read=block, expected="an address or a CIDR block"
)  # C-20
arns = _typed("Arn", code="TYPE_MISMATCH", read=_arn, expected="an ARN of six fields")  # C-27


def digits_as_date(reading: Reading) -> Iterator[Fault]:
    """Report digits as a date (C-16)."""
    for tested in conditions(reading.document):
        for value, path in tested.values() if tested.operator.base.startswith("Date") else ():
            if value.isascii() and value.isdigit():
                yield Fault("INVALID_DATE_VALUE", f"{quoted(value)} is epoch seconds, never a year", path)


def several_booleans(reading: Reading) -> Iterator[Fault]:
    """Report several values for `Bool` (C-18)."""
    for tested in conditions(reading.document):
        if tested.operator.base == "Bool" and len(tested.test.values) > 1:
            yield Fault("INVALID_CONDITION_MULTIPLE_BOOLEAN", "expected one value for `Bool`", tested.path)


def several_bounds(reading: Reading) -> Iterator[Fault]:
    """Report several values for an operator that compares by order (C-14)."""
    for tested in conditions(reading.document):
        if tested.operator.base.startswith(_ORDERED) and len(tested.test.values) > 1:
            message = f"one of several values is enough for `{tested.test.operator}`: they are alternatives"
            yield Fault("REDUNDANT_CONDITION_VALUE_NUM", message, tested.path)


def null_with_set_prefix(reading: Reading) -> Iterator[Fault]:
    """Report `Null` with a set prefix (C-34)."""
    for tested in conditions(reading.document):
        if tested.operator.base == "Null" and tested.operator.prefix:
            message = f"`{tested.operator.prefix}` with `Null` has the same result for every request"
            yield Fault("NULL_WITH_QUALIFIER", message, tested.path)


def literal_wildcards(reading: Reading) -> Iterator[Fault]:
    """Report wildcards under an operator that compares them literally (C-10)."""
    for tested in conditions(reading.document):
        for value, path in tested.values() if tested.operator.base in _WITHOUT_WILDCARDS else ():
            if WILDCARD.search(value.replace("${*}", "").replace("${?}", "")):
                message = f"`{tested.test.operator}` compares `*` and `?` in {quoted(value)} literally"
                yield Fault("WILDCARD_WITHOUT_LIKE_OPERATOR", message, path)


def no_values(reading: Reading) -> Iterator[Fault]:
    """Report an empty list of values (C-42)."""
    for tested in conditions(reading.document):
        if not tested.test.values:
            operator = tested.operator
            modifier = operator.prefix or ("IfExists" if operator.if_exists else None)
            code = f"EMPTY_ARRAY_CONDITION_{modifier.upper()}" if modifier else "EMPTY_ARRAY_CONDITION"
            yield Fault(code, f"{quoted(tested.test.key)} has no values", tested.path)


# --- addresses ---------------------------------------------------------------------------------------------------


def host_bits(reading: Reading) -> Iterator[Fault]:
    """Report CIDR blocks with host bits set (C-21)."""
    for tested in _on_addresses(reading):
        for value, path in tested.values():
            interface = ip_interface(value) if block(value) else None
            if interface is not None and interface.ip != interface.network.network_address:
                yield Fault("IMPROVE_IP_RANGE", f"{quoted(value)} is `{interface.network}`", path)


def private_source(reading: Reading) -> Iterator[Fault]:
    """Report private addresses for `aws:SourceIp`, which is a public address (C-24)."""
    for tested in _on_addresses(reading):
        if tested.test.key.lower() != "aws:sourceip":
            continue
        code = "PRIVATE_IP_ADDRESS" if tested.operator.base == "IpAddress" else "PRIVATE_NOT_IP_ADDRESS"
        private = [path for value, path in tested.values() if block(value) and _is_private(value)]
        if len(private) < len(tested.test.values):
            code += "_SUBSET"
        for path in private:
            yield Fault(code, "`aws:SourceIp` is never a private address", path)


def _on_addresses(reading: Reading) -> Iterator[ParsedCondition]:
    return (condition for condition in conditions(reading.document) if condition.operator.base.endswith("IpAddress"))


def _is_private(value: str) -> bool:
    network = ip_interface(value).network
    return any(network.network_address in block and network.prefixlen >= block.prefixlen for block in _PRIVATE)
