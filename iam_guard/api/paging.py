"""Pages of a list: `Marker` and `MaxItems` in, `IsTruncated` and `Marker` out, as IAM has them.

A marker says after which entry the next page begins, by the texts that the list is ordered by. So it survives writes in
between: what was there before the page is not shown twice, what comes after it is not left out. Clients must not look
into it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from iam_guard.api.call import Input, Output
from iam_guard.errors import ValidationError

DEFAULT_ITEMS = 100
CHUNK = 50
MAX_CHARACTERS = 4 * 1024 * 1024
"""Of the documents in one page, but for those of the last `CHUNK` rows."""

T = TypeVar("T")
Key: TypeAlias = Sequence[str]


class Columns(Protocol):
    """Anything that has values by name: a row, or what was made of several."""

    def __getitem__(self, name: str, /) -> Any: ...


Fetch: TypeAlias = Callable[[Key | None, int], Sequence[Columns]]
"""(the values to begin after, how many) -> rows in order."""
Weigh: TypeAlias = Callable[[Sequence[Any]], int]
"""Rows -> how many characters the documents have that are shown of them."""


class Page(NamedTuple):
    """The rows of one page, and the members of the output that lead to the next."""

    rows: list[Any]
    members: Output


def page_of_rows(given: Input, order: Sequence[str], fetch: Fetch) -> Page:
    """Make a page of what `fetch` gives; its rows have the columns of `order`, which are texts.

    Raises `ValidationError` for a marker that is none of ours.
    """
    limit = given.get("MaxItems", DEFAULT_ITEMS)
    rows = fetch(_read(given.get("Marker"), len(order)), limit + 1)
    return _page(rows, limit, _key_by(order))


def page_of_heavy_rows(given: Input, order: Sequence[str], fetch: Fetch, weigh: Weigh) -> Page:
    """Make a page of rows with documents, which ends early when they come to more than `MAX_CHARACTERS`.

    White space in a document is free, so a page of a thousand could otherwise fill the memory of all accounts. AWS too
    may give fewer than were asked for, and says so by `IsTruncated`.
    """
    limit, key = given.get("MaxItems", DEFAULT_ITEMS), _key_by(order)
    after = _read(given.get("Marker"), len(order))
    rows: list[Columns] = []
    characters = 0
    while len(rows) <= limit and characters <= MAX_CHARACTERS:
        wanted = min(CHUNK, limit + 1 - len(rows))
        some = fetch(after, wanted)
        rows += some
        if len(some) < wanted:
            return _page(rows, limit, key)
        characters += weigh(some)
        after = key(rows[-1])
    return _page(rows, min(limit, len(rows) - 1), key)


def stamped(output: Output, purpose: str) -> Output:
    """Bind the marker of an output to what it is for: an operation in an account."""
    marker = output.get("Marker")
    return output if marker is None else {**output, "Marker": f"{marker}.{_stamp(marker, purpose)}"}


def unstamped(given: Input, purpose: str) -> Input:
    """Take the stamp off again. Raises `ValidationError` for a marker that was changed, or given for something else.

    It keeps nobody out of anything, for a marker only says where in the caller's own list to go on; it keeps a client
    that mixes up its markers from silently missing a part.
    """
    if "Marker" not in given:
        return given
    marker, _, stamp = given["Marker"].rpartition(".")
    if stamp != _stamp(marker, purpose):
        raise ValidationError("Invalid Marker.", place="Marker")
    return {**given, "Marker": marker}


def _stamp(marker: str, purpose: str) -> str:
    return hashlib.sha256(f"{purpose} {marker}".encode()).hexdigest()[:8]


def _key_by(order: Sequence[str]) -> Callable[[Columns], Key]:
    return lambda row: [row[name] for name in order]


def page_of_list(given: Input, items: Iterable[T], key: Callable[[T], Key]) -> Page:
    """Make a page of a list that is at hand, in the order of a key that tells its items apart."""
    limit = given.get("MaxItems", DEFAULT_ITEMS)
    in_order = sorted(items, key=lambda item: tuple(key(item)))
    after = _read(given.get("Marker"), len(key(in_order[0])) if in_order else None)
    rest = [item for item in in_order if after is None or tuple(key(item)) > tuple(after)]
    return _page(rest[: limit + 1], limit, key)


def _page(rows: Sequence[Any], limit: int, key: Callable[[Any], Key]) -> Page:
    if len(rows) <= limit:
        return Page(list(rows), {"IsTruncated": False})
    shown = list(rows[:limit])
    return Page(shown, {"IsTruncated": True, "Marker": _write(key(shown[-1]))})


def _write(key: Key) -> str:
    text = json.dumps(list(key), ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")


def _read(marker: str | None, length: int | None) -> Key | None:
    if marker is None:
        return None
    try:
        text = base64.b64decode(marker + "=" * (-len(marker) % 4), altchars=b"-_", validate=True)
        key = json.loads(text)
    except (binascii.Error, ValueError, RecursionError):
        key = None
    is_key = isinstance(key, list) and key and all(isinstance(each, str) for each in key)
    if not is_key or (length is not None and len(key) != length):
        raise ValidationError("Invalid Marker.", place="Marker")
    return key  # type: ignore[no-any-return]
