"""Pagination: `Marker` and `MaxItems` in, `IsTruncated` and `Marker` out, as in IAM. `PageMembers` renames them.

A marker is the sort key of the last entry shown. It survives writes between pages: no entry is shown twice, and none
after it is skipped. Markers are opaque to clients.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.errors import IamGuardError, ValidationError
from iam_guard.store.database.records import Table

DEFAULT_ITEMS = 100
CHUNK_ROWS = 50
MAX_CHARACTERS = 4 * 1024 * 1024
"""Characters of the documents in one page, without those of the last `CHUNK_ROWS` rows."""

T = TypeVar("T")
Key: TypeAlias = Sequence[str]


Columns: TypeAlias = Mapping[Any, Any]
"""Values by column name: a row, or a mapping computed from several rows."""
Fetch: TypeAlias = Callable[[Key | None, int], Sequence[Columns]]
"""(the sort key to start after, maximum number of rows) -> rows in order."""


class Page(NamedTuple):
    """The rows of one page, and the pagination members of the output."""

    rows: list[Any]
    members: Output

    def listed(self, member: str) -> Output:
        """Return the output with the rows as `member`."""
        return {member: self.rows, **self.members}


class PageMembers(NamedTuple):
    """The members for pages in the operations of a service. Handlers read and write those of IAM."""

    limit: str = "MaxItems"
    marker: str = "Marker"
    sizes: range | None = None
    """The accepted limits; None: those of the model."""
    invalid: Callable[[str], IamGuardError] = ValidationError
    """Creates the error for another limit."""

    def open(self, parameters: Input, purpose: str) -> Input:
        """Return the input of a handler, with a marker without its checksum.

        Raises what `invalid` creates, and `ValidationError` for a changed or foreign marker. This is no access control,
        since a marker is only a position in the caller's own list: it detects clients that mix up markers and would
        silently skip entries.
        """
        opened = dict(parameters)
        if self.limit in opened:
            opened["MaxItems"] = limit = opened.pop(self.limit)
            if self.sizes is not None and limit not in self.sizes:
                raise self.invalid(f"expected {self.limit} between 1 and {self.sizes[-1]}, got `{limit}`")
        if self.marker in opened:
            marker, _, checksum = opened.pop(self.marker).rpartition("=")
            opened["Marker"] = marker
            if checksum != _checksum(marker, purpose):
                raise ValidationError(f"Invalid {self.marker}.", place=self.marker)
        return opened

    def close(self, output: Output, purpose: str) -> Output:
        """Return the output of a handler with the service's members, its marker bound to an operation in an account."""
        if "IsTruncated" not in output:
            return output
        closed = dict(output)
        if (marker := closed.pop("Marker", None)) is not None:
            closed[self.marker] = f"{marker}={_checksum(marker, purpose)}"
        if self.marker != "Marker":
            del closed["IsTruncated"]
        return closed


IAM_PAGES: Final = PageMembers()


def page_of_table(call: ServiceCall, parameters: Input, table: Table, order: Sequence[str], **where: Any) -> Page:
    """Return one page of the rows of a table below the call's path, if it has one, and within `where`."""
    return page_of_rows(parameters, order, fetch_from(call, parameters, table, order, **where))


def fetch_from(call: ServiceCall, parameters: Input, table: Table, order: Sequence[str], **where: Any) -> Fetch:
    """Return the function that fetches these rows."""
    prefix = parameters.get("PathPrefix")
    return lambda after, limit: call.records.page(
        table, order=order, after=after, limit=limit, path_prefix=prefix, **where
    )


def page_of_rows(parameters: Input, order: Sequence[str], fetch: Fetch) -> Page:
    """Return one page of the rows from `fetch`, which have the string columns of `order`.

    Raises `ValidationError` for an invalid marker.
    """
    limit = parameters.get("MaxItems", DEFAULT_ITEMS)
    rows = fetch(_parse_marker(parameters.get("Marker"), len(order)), limit + 1)
    return _page(rows, limit, _key_by(order))


def page_of_heavy_rows(
    parameters: Input, order: Sequence[str], fetch: Fetch, count_characters: Callable[[Sequence[Any]], int]
) -> Page:
    """Return one page of rows with documents, which ends early after `MAX_CHARACTERS`.

    Quotas don't count white space in documents, so a page of a thousand could fill the memory. AWS too may return fewer
    items than `MaxItems`, and reports it by `IsTruncated`.
    """
    limit, key = parameters.get("MaxItems", DEFAULT_ITEMS), _key_by(order)
    after = _parse_marker(parameters.get("Marker"), len(order))
    rows: list[Columns] = []
    characters = 0
    while len(rows) <= limit and characters <= MAX_CHARACTERS:
        chunk_limit = min(CHUNK_ROWS, limit + 1 - len(rows))
        chunk = fetch(after, chunk_limit)
        rows += chunk
        if len(chunk) < chunk_limit:
            return _page(rows, limit, key)
        characters += count_characters(chunk)
        after = key(rows[-1])
    return _page(rows, min(limit, len(rows) - 1), key)


def _checksum(marker: str, purpose: str) -> str:
    return hashlib.sha256(f"{purpose} {marker}".encode()).hexdigest()[:8]


def _key_by(order: Sequence[str]) -> Callable[[Columns], Key]:
    return lambda row: [row[name] for name in order]


def page_of_list(parameters: Input, items: Iterable[T], key: Callable[[T], Key]) -> Page:
    """Return one page of a list in memory, sorted by a unique key."""
    limit = parameters.get("MaxItems", DEFAULT_ITEMS)
    in_order = sorted(items, key=lambda item: tuple(key(item)))
    after = _parse_marker(parameters.get("Marker"), len(key(in_order[0])) if in_order else None)
    rest = [item for item in in_order if after is None or tuple(key(item)) > tuple(after)]
    return _page(rest[: limit + 1], limit, key)


def position_of(parameters: Input) -> str | None:
    """Return the text after which a page starts, for what is listed by one; None for the first page."""
    key = _parse_marker(parameters.get("Marker"), 1)
    return None if key is None else key[0]


def page_from(last: Key | None) -> Output:
    """Return the members of a page after which another one starts at `last`; None: it is the last page."""
    return {"IsTruncated": False} if last is None else {"IsTruncated": True, "Marker": _format_marker(last)}


def page_of_sorted(parameters: Input, fetch: Callable[[str | None, int], Sequence[T]], key: Callable[[T], str]) -> Page:
    """Return one page of what `fetch` lists by one text: it takes the last one of the page before, and a limit."""
    limit = parameters.get("MaxItems", DEFAULT_ITEMS)
    return _page(fetch(position_of(parameters), limit + 1), limit, lambda item: (key(item),))


def page_of_positions(parameters: Input, items: Sequence[Any]) -> Page:
    """Return a page of an immutable list, whose markers are list positions."""
    page = page_of_list(parameters, enumerate(items), lambda item: (f"{item[0]:08}",))
    return Page([item for _, item in page.rows], page.members)


def _page(rows: Sequence[Any], limit: int, key: Callable[[Any], Key]) -> Page:
    shown = list(rows[:limit])
    return Page(shown, page_from(key(shown[-1]) if len(rows) > limit else None))


def _format_marker(key: Key) -> str:
    text = json.dumps(list(key), ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")


def _parse_marker(marker: str | None, length: int | None) -> Key | None:
    if marker is None:
        return None
    try:
        text = base64.b64decode(marker + "=" * (-len(marker) % 4), altchars=b"-_", validate=True)
        key = json.loads(text)
    except (binascii.Error, ValueError, RecursionError):
        key = None
    is_key = isinstance(key, list) and key and all(isinstance(part, str) for part in key)
    if not is_key or (length is not None and len(key) != length):
        raise ValidationError("Invalid Marker.", place="Marker")
    return key  # type: ignore[no-any-return]
