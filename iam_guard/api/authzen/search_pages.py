"""Pages of search results: limits, and sealed tokens.

A token is the position after the last candidate, sealed for its caller and its request. So it is opaque, can't be
altered, and is valid for the same search only, for `TOKEN_SECONDS`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from iam_guard.api.authzen.entities import MAX_TEXT, Document
from iam_guard.api.authzen.evaluations import AuthzenCaller
from iam_guard.errors import InvalidInput

DEFAULT_RESULTS: Final = 100
MAX_RESULTS: Final = 1000
TOKEN_SECONDS: Final = 3600
_MAX_TOKEN: Final = 4 * MAX_TEXT

Position: TypeAlias = str | int
"""The sort key of a candidate."""


class SearchPage(NamedTuple):
    """The requested page: at most `limit` results, after the candidate `after`."""

    limit: int
    after: Position | None
    binding: bytes
    """The sealing context of its tokens."""


def read_page(caller: AuthzenCaller, kind: str, document: Document) -> SearchPage:
    """Read the page of a search. Raises `InvalidInput`, also for a token of another search or caller."""
    page = document.get("page", {})
    if not isinstance(page, dict):
        raise InvalidInput("expected an object as `page`", place="page")
    limit, token = page.get("limit", DEFAULT_RESULTS), page.get("token", "")
    if type(limit) is not int or limit < 1:
        raise InvalidInput("expected a positive integer as `limit` of the page", place="page")
    if not isinstance(token, str) or len(token) > _MAX_TOKEN:
        raise _invalid_token()
    search = {name: value for name, value in document.items() if name != "page"}
    identity = [kind, caller.principal.arn, caller.principal.userid, search]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).digest()
    binding = b"authzen-page:1:" + digest
    return SearchPage(min(limit, MAX_RESULTS), _opened(caller, token, binding) if token else None, binding)


def page_document(
    caller: AuthzenCaller, page: SearchPage, results: Sequence[dict[str, str]], after: Position | None
) -> dict[str, Any]:
    """Return the response of a search; `after` is the position of the next page, None if this is the last one."""
    token = ""
    if after is not None:
        content = json.dumps([int(caller.guard.clock().timestamp()) + TOKEN_SECONDS, after]).encode()
        token = caller.guard.store.sealer.seal_text(content, page.binding)
    return {"page": {"next_token": token, "count": len(results)}, "results": list(results)}


def _opened(caller: AuthzenCaller, token: str, binding: bytes) -> Position:
    content = caller.guard.store.sealer.open_text(token, binding)
    if content is None:
        raise _invalid_token()
    expires, after = json.loads(content)
    if caller.guard.clock().timestamp() >= expires:
        raise InvalidInput("the token of the page has expired", place="page")
    position: Position = after
    return position


def _invalid_token() -> InvalidInput:
    return InvalidInput("expected the `next_token` of the same search as `token` of the page", place="page")
