"""IP addresses that are stored as text: which texts are addresses, and which are in a block (rules C-20 to C-23).

The forms are those of `policy.value_parsing`: four decimal numbers without leading zeros, or what Python's
`IPv6Address` accepts. A text of another form must never reach a cast, which would fail for the whole query.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    String,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.sql.selectable import TableValuedAlias

from iam_guard.filters.attributes import bound_text

_IPV6_BIT: Final = 1 << 128
_IPV6: Final = _IPV6_BIT - 1
_OCTET: Final = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = rf"{_OCTET}(\.{_OCTET}){{3}}"
_GROUP: Final = "[0-9a-fA-F]{1,4}"


def _ipv6_forms() -> Iterable[str]:
    yield f"({_GROUP}:){{7}}{_GROUP}"
    yield f"({_GROUP}:){{6}}{_IPV4}"
    for before in range(8):
        start = f"({_GROUP}:){{{before - 1}}}{_GROUP}" if before else ""
        after = 7 - before
        yield f"{start}::" + (f"(({_GROUP}:){{0,{after - 1}}}{_GROUP})?" if after else "")
        if after >= 2:
            yield f"{start}::({_GROUP}:){{0,{after - 2}}}{_IPV4}"


_IS_IPV4: Final = f"^{_IPV4}$"
_IS_ADDRESS: Final = f"^({_IPV4}|({'|'.join(_ipv6_forms())})(%[^%]+)?)$"


def is_address(value: ColumnElement[Any], dialect: str) -> ColumnElement[bool]:
    """Return whether a text is an IPv4 or IPv6 address; unknown for NULL."""
    if dialect == "postgresql":
        return value.op("~", is_comparison=True, return_type=Boolean())(bound_text(_IS_ADDRESS))
    return or_(func.coalesce(_is_ipv4(value), false()), func.coalesce(_is_ipv6(value), false()))


def is_inside(value: ColumnElement[Any], blocks: Sequence[tuple[int, int]], dialect: str) -> ColumnElement[bool]:
    """Return whether a text is an address in one of the blocks, (mask, network) as in `value_parsing.block`.

    Unknown or false for every other text.
    """
    if dialect == "postgresql":
        address = cast(func.split_part(value, "%", 1), INET)
        inside = [
            address.op("<<=", return_type=Boolean())(cast(bound_text(_written(*block)), INET)) for block in blocks
        ]
        return case((is_address(value, dialect), or_(*inside)), else_=false())
    ipv4 = [(mask & 0xFFFFFFFF, network) for mask, network in blocks if not network & _IPV6_BIT]
    ipv6 = [(mask & _IPV6, network & _IPV6) for mask, network in blocks if network & _IPV6_BIT]
    in_ipv4 = or_(false(), *(_number(value).op("&")(literal(mask)) == literal(network) for mask, network in ipv4))
    cases = [(func.coalesce(_is_ipv4(value), false()), in_ipv4)]
    if ipv6:
        digits = _digits(value)
        cases.append((func.coalesce(_is_ipv6(value), false()), or_(*(_begins(digits, *block) for block in ipv6))))
    return case(*cases, else_=false())


def _written(mask: int, network: int) -> str:
    """Return a block in CIDR notation."""
    is_ipv6 = bool(network & _IPV6_BIT)
    width = 128 if is_ipv6 else 32
    number, length = network & ((1 << width) - 1), (mask & ((1 << width) - 1)).bit_count()
    if is_ipv6:
        groups = ":".join(f"{number >> shift & 0xFFFF:x}" for shift in range(112, -1, -16))
        return f"{groups}/{length}"
    return ".".join(str(number >> shift & 0xFF) for shift in (24, 16, 8, 0)) + f"/{length}"


# --- SQLite has no regular expressions: the parts are read as JSON -----------------------------------------------


def _octets(value: ColumnElement[Any]) -> ColumnElement[str]:
    """Return the four numbers of an address as a JSON array; `1.2.3.4` becomes `[1,2,3,4]`."""
    return bound_text("[").op("||")(func.replace(value, ".", ",")).op("||")(bound_text("]"))


def _octet(value: ColumnElement[Any], place: int) -> ColumnElement[int]:
    return func.json_extract(_octets(value), f"$[{place}]", type_=Integer())


def _number(value: ColumnElement[Any]) -> ColumnElement[int]:
    first, second, third, fourth = (_octet(value, place) for place in range(4))
    return first * 16777216 + second * 65536 + third * 256 + fourth


def _has_only(value: ColumnElement[Any], characters: str) -> ColumnElement[bool]:
    other = value.op("GLOB", return_type=Boolean())(bound_text(f"*[^{characters}]*"))
    return and_(not_(other), func.instr(value, literal_column("char(0)")) == literal_column("0"))


def _is_ipv4(value: ColumnElement[Any]) -> ColumnElement[bool]:
    """`json_valid` refuses empty parts and leading zeros; each step of the CASE protects the next."""
    in_range = and_(*(_octet(value, place).between(0, 255) for place in range(4)))
    four = case((func.json_array_length(_octets(value)) == 4, in_range), else_=false())
    numbers = case((func.json_valid(_octets(value)) == 1, four), else_=false())
    return case((_has_only(value, "0-9."), numbers), else_=false())


def _without_zone(value: ColumnElement[Any]) -> ColumnElement[str]:
    zone = func.instr(value, "%")
    return case((zone > 0, func.substr(value, 1, zone - 1)), else_=value)


def _groups(value: ColumnElement[Any]) -> TableValuedAlias:
    """Return the parts between colons: `fe80::1` has the texts `fe80`, an empty one, and `1`."""
    return func.json_each(_array(value)).table_valued("key", "value")


def _array(value: ColumnElement[Any]) -> ColumnElement[str]:
    return bound_text('["').op("||")(func.replace(value, ":", '","')).op("||")(bound_text('"]'))


def _matches(value: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
    return value.op("GLOB", return_type=Boolean())(bound_text(pattern))


def _is_ipv6(value: ColumnElement[Any]) -> ColumnElement[bool]:
    zone = func.instr(value, "%")
    address, zone_text = _without_zone(value), func.substr(value, zone + 1)
    zone_is_valid = or_(zone == 0, and_(zone_text != "", func.instr(zone_text, "%") == 0))
    group = _groups(address)
    text = group.c.value
    has_dots = _matches(text, "*.*")
    is_last = group.c.key == func.json_array_length(_array(address)) - 1
    valid = case(
        (text == "", literal_column("1")),
        (has_dots, and_(is_last, func.coalesce(_is_ipv4(text), false()))),
        else_=func.length(text) <= 4,
    )
    total = func.sum(case((text == "", 0), (has_dots, 2), else_=1))
    has_gap = _matches(address, "*::*")
    is_complete = or_(and_(has_gap, total <= 7), and_(not_(has_gap), total == 8))
    counted = select(and_(func.min(cast(valid, Integer)) == 1, is_complete)).select_from(group)
    is_shaped = and_(
        _matches(address, "*:*:*"),
        *(not_(_matches(address, pattern)) for pattern in ("*::*::*", "*:::*", ":[^:]*", "*[^:]:")),
    )
    checked = case((is_shaped, counted.correlate_except(group).scalar_subquery()), else_=false())
    return case((and_(zone_is_valid, _has_only(address, "0-9a-fA-F:.")), checked), else_=false())


def _digits(value: ColumnElement[Any]) -> ColumnElement[str]:
    """Return the 32 hexadecimal digits of an IPv6 address, in lower case."""
    address = _without_zone(value)
    gap = func.instr(address, "::")
    before = case((gap > 0, func.substr(address, 1, gap - 1)), else_=address)
    after = case((gap > 0, func.substr(address, gap + 2)), else_="")
    first, last = _digits_of_groups(before), _digits_of_groups(after)
    zeros = func.substr("0" * 32, 1, 32 - func.length(first) - func.length(last))
    return func.lower(first.op("||")(zeros).op("||")(last), type_=String())


def _digits_of_groups(part: ColumnElement[Any]) -> ColumnElement[str]:
    group = _groups(part)
    text = group.c.value
    dotted = func.printf("%02x%02x%02x%02x", *(_octet(text, place) for place in range(4)))
    digits = case(
        (text == "", ""), (_matches(text, "*.*"), dotted), else_=func.substr(bound_text("0000").op("||")(text), -4)
    )
    ordered = select(digits.label("digits")).select_from(group).order_by(group.c.key).correlate_except(group).subquery()
    joined = select(func.group_concat(ordered.c.digits, "")).select_from(ordered).correlate_except(ordered)
    return func.coalesce(joined.scalar_subquery(), "", type_=String())


def _begins(digits: ColumnElement[str], mask: int, network: int) -> ColumnElement[bool]:
    """Return whether digits are of an address in a block: the whole digits of its prefix, and a part of the next."""
    length = mask.bit_count()
    whole, bits = divmod(length, 4)
    written = f"{network:032x}"
    checks = [func.substr(digits, 1, whole) == bound_text(written[:whole])]
    if bits:
        first = int(written[whole], 16)
        choices = [f"{digit:x}" for digit in range(first, first + (16 >> bits))]
        checks.append(func.substr(digits, whole + 1, 1).in_(choices))
    return and_(*checks)
