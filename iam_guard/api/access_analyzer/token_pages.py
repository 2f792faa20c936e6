"""Pages of lists in the form of this API: `maxResults` and `nextToken` in, `nextToken` out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from iam_guard.api.access_analyzer.analyzer_errors import InvalidMember
from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.paging import Fetch, Key, Page, fetch_from, page_of_list, page_of_positions, page_of_rows
from iam_guard.store.database.records import Table

MAX_RESULTS: Final = range(1, 1000 + 1)
DEFAULT_RESULTS: Final = 100


def page_of_items(parameters: Input, items: Iterable[tuple[Key, Any]], member: str) -> Output:
    """Return a page of items with their unique sort keys, as `member` of the output."""
    page = page_of_list(_paging(parameters), items, lambda item: item[0])
    return _output(Page([item for _, item in page.rows], page.members), member)


def page_of_sequence(parameters: Input, items: Iterable[Any], member: str) -> Output:
    """Return a page of a list that doesn't change between the calls."""
    return _output(page_of_positions(_paging(parameters), list(items)), member)


def table_page(call: ServiceCall, parameters: Input, table: Table, order: tuple[str, ...], **where: Any) -> Page:
    """Return a page of the rows of a table."""
    return page_of_rows(_paging(parameters), order, fetch_from(call, {}, table, order, **where))


def next_token(page: Page) -> Output:
    """Return the member that leads to the next page."""
    return {"nextToken": page.members.get("Marker")}


def results_limit(parameters: Input) -> int:
    """Return the size of a page. Raises `InvalidMember`."""
    limit: int = parameters.get("maxResults", DEFAULT_RESULTS)
    if limit not in MAX_RESULTS:
        raise InvalidMember(f"expected maxResults between 1 and {MAX_RESULTS[-1]}, got `{limit}`")
    return limit


def _paging(parameters: Input) -> Input:
    marker = {"Marker": parameters["nextToken"]} if "nextToken" in parameters else {}
    return {"MaxItems": results_limit(parameters), **marker}


def _output(page: Page, member: str) -> Output:
    return {member: page.rows, **next_token(page)}


def page_of_fetched(parameters: Input, order: tuple[str, ...], fetch: Fetch) -> Page:
    """Return a page of the rows from `fetch`, which have the string columns of `order`."""
    return page_of_rows(_paging(parameters), order, fetch)
