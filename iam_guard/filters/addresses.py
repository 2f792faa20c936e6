"""IP addresses that are stored as text: which texts are addresses, and which are in a block (rules C-20 to C-23).

The forms are those of `policy.value_parsing`: four decimal numbers without leading zeros, or what Python's
`IPv6Address` accepts. A text of another form must never reach a cast, which would fail for the whole query.
"""

from __future__ import annotations

from collections.abc import Iterable
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

from iam_guard.errors import NotFilterable

_IPV6_BIT: Final = 1 << 128
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
        return value.op("~", is_comparison=True, return_type=Boolean())(literal(_IS_ADDRESS, String()))
    return or_(func.coalesce(_is_ipv4(value), false()), func.coalesce(_is_ipv6(value), false()))


def is_inside(value: ColumnElement[Any], blocks: Iterable[tuple[int, int]], dialect: str) -> ColumnElement[bool]:
    """Return whether a text is an address in one of the blocks, (mask, network) as in `value_parsing.block`.

    Unknown or false for every other text. Raises `NotFilterable` for IPv6 blocks on SQLite.
    """
    if dialect == "postgresql":
        address = cast(func.split_part(value, "%", 1), INET)
        inside = [
            address.op("<<=", return_type=Boolean())(cast(literal(_written(*block), String()), INET))
            for block in blocks
        ]
        return case((is_address(value, dialect), or_(*inside)), else_=false())
    checks = []
    for mask, network in blocks:
        if network & _IPV6_BIT:
            raise NotFilterable("an IPv6 block, which SQLite cannot compare with a text")
        checks.append(_number(value).op("&")(literal(mask & 0xFFFFFFFF)) == literal(network))
    return case((func.coalesce(_is_ipv4(value), false()), or_(*checks)), else_=false())


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
    return literal("[", String()).op("||")(func.replace(value, ".", ",")).op("||")(literal("]", String()))


def _octet(value: ColumnElement[Any], place: int) -> ColumnElement[int]:
    return func.json_extract(_octets(value), f"$[{place}]", type_=Integer())


def _number(value: ColumnElement[Any]) -> ColumnElement[int]:
    first, second, third, fourth = (_octet(value, place) for place in range(4))
    return first * 16777216 + second * 65536 + third * 256 + fourth


def _has_only(value: ColumnElement[Any], characters: str) -> ColumnElement[bool]:
    other = value.op("GLOB", return_type=Boolean())(literal(f"*[^{characters}]*", String()))
    return and_(not_(other), func.instr(value, func.char(0)) == 0)


def _is_ipv4(value: ColumnElement[Any]) -> ColumnElement[bool]:
    """`json_valid` refuses empty parts and leading zeros; each step of the CASE protects the next."""
    in_range = and_(*(_octet(value, place).between(0, 255) for place in range(4)))
    four = case((func.json_array_length(_octets(value)) == 4, in_range), else_=false())
    numbers = case((func.json_valid(_octets(value)) == 1, four), else_=false())
    return case((_has_only(value, "0-9."), numbers), else_=false())


def _is_ipv6(value: ColumnElement[Any]) -> ColumnElement[bool]:
    zone = func.instr(value, "%")
    address = case((zone > 0, func.substr(value, 1, zone - 1)), else_=value)
    zone_text = func.substr(value, zone + 1)
    zone_is_valid = or_(zone == 0, and_(zone_text != "", func.instr(zone_text, "%") == 0))

    def like(pattern: str) -> ColumnElement[bool]:
        return address.op("GLOB", return_type=Boolean())(literal(pattern, String()))

    groups = literal('["', String()).op("||")(func.replace(address, ":", '","')).op("||")(literal('"]', String()))
    group = func.json_each(groups).table_valued("key", "value")
    text = group.c.value
    has_dots = text.op("GLOB", return_type=Boolean())(literal("*.*", String()))
    is_last = group.c.key == func.json_array_length(groups) - 1
    valid = case(
        (text == "", literal_column("1")),
        (has_dots, and_(is_last, func.coalesce(_is_ipv4(text), false()))),
        else_=func.length(text) <= 4,
    )
    weight = case((text == "", 0), (has_dots, 2), else_=1)
    total, all_valid = func.sum(weight), func.min(cast(valid, Integer)) == 1
    counted = select(and_(all_valid, or_(and_(like("*::*"), total <= 7), and_(not_(like("*::*")), total == 8))))
    is_shaped = and_(
        like("*:*:*"), not_(like("*::*::*")), not_(like("*:::*")), not_(like(":[^:]*")), not_(like("*[^:]:"))
    )
    checked = case((is_shaped, counted.select_from(group).correlate_except(group).scalar_subquery()), else_=false())
    return case((and_(zone_is_valid, _has_only(address, "0-9a-fA-F:.")), checked), else_=false())
