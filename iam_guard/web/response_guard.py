"""The way out: which answers may leave, and what is noted of a call that ends in an error (design 5).

An endpoint that made no decision and is not public gives nothing away: its answer is turned into a 500 and reported.
Where no endpoint is told, a router may have answered that there is none, or a handler behind an application that does
not say what it found. Then the status goes out and nothing else: a standard answer stands in (`neutral_answer`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from iam_guard.audit.record.redaction import loggable
from iam_guard.errors import DecisionUnavailable, IamGuardError, UndecidedEndpoint
from iam_guard.web.call_context import CurrentCall
from iam_guard.web.endpoints import mark_of, name_of
from iam_guard.web.refusal import Refusal
from iam_guard.web.requirement import PUBLIC

ROUTER_ANSWERS: Final = frozenset({301, 307, 308, 404})
"""What a router says when no endpoint takes the request; nothing was decided, and nothing was given away."""
UNTOLD: Final = object()
"""Stands for an endpoint when nobody has told what the router found."""
_METHODS: Final = re.compile(r"[A-Z]{1,32}(?: ?, ?[A-Z]{1,32}){0,31}")
_WRONG_METHOD: Final = 405
"""The same for a path whose endpoint does not take the method; the router names the endpoint all the same."""
_NOTHING_WANTED: Final = "iam-guard:UndecidedEndpoint"


def check_answer(call: CurrentCall, status: int, endpoint: Any, method: str | None) -> bool:
    """Refuse an answer that nobody decided or that was refused, and the 500 that a framework makes of a refusal.

    `endpoint` is what the router found: None where it found none, so that an error comes from before any endpoint, and
    `UNTOLD` where it may have found one. Return whether the answer may go out as it is; else `neutral_answer` may.
    """
    if call.refusal is not None and status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise call.refusal
    is_decided = bool(call.decisions) or call.is_public
    if is_decided and call.refused_by is None:
        return True
    mark = None if endpoint is UNTOLD else mark_of(endpoint, method)
    if status < HTTPStatus.MULTIPLE_CHOICES and _is_refused(call, UNTOLD if endpoint is UNTOLD else mark):
        raise call.refusal or UndecidedEndpoint(f"something answered where `{call.wanted}` was not allowed")
    if is_decided or mark == PUBLIC or (status in ROUTER_ANSWERS and endpoint is None):
        return True
    if status >= HTTPStatus.BAD_REQUEST and (mark is not None or endpoint is None):
        return True  # the framework refused, a bad parameter say, before the guarded handler could ask
    if status == _WRONG_METHOD or (status in ROUTER_ANSWERS and endpoint is UNTOLD):
        return False
    if endpoint in (None, UNTOLD):
        where = "CORS and the like belong outside of the guard"
        raise UndecidedEndpoint(f"something that is no known endpoint answered without a decision; {where}")
    hint = "" if mark is None else "; what guards it asked another guard, which stands behind this one, or nobody"
    raise UndecidedEndpoint(f"the endpoint `{name_of(endpoint)}` answered without a decision and is not public{hint}")


def neutral_answer(status: int, headers: Iterable[tuple[str, str]], scope: Mapping[str, Any]) -> Refusal:
    """Return what goes out in the place of a router's answer that may be a handler's: its status, and nothing else.

    A 405 keeps its list of methods. A redirect is to the request's own URL, but for the scheme and a slash at its end;
    raises `UndecidedEndpoint` for one that leads elsewhere.
    """
    given = {name.lower(): value for name, value in headers}
    kept: list[tuple[str, str]] = []
    body = HTTPStatus(status).phrase.encode()
    if status == _WRONG_METHOD:
        kept += [("allow", given["allow"])] if _METHODS.fullmatch(given.get("allow", "")) else []
    elif status != HTTPStatus.NOT_FOUND:
        if not _is_own_url(given.get("location", ""), scope):
            message = "something that is no known endpoint answered without a decision, with a redirect elsewhere"
            raise UndecidedEndpoint(message)
        kept, body = [("location", given["location"])], b""
    kept += [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body)))]
    return Refusal(status, tuple(kept), b"" if scope.get("method") == "HEAD" else body)


def _is_own_url(location: str, scope: Mapping[str, Any]) -> bool:
    if not location:
        return False
    try:
        parts = urlsplit(location)
    except ValueError:
        return False
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"host"]
    is_here = (parts.scheme in ("", "http", "https")) and (not parts.netloc or [parts.netloc] == hosts)
    path, query = unquote(parts.path).rstrip("/"), unquote(parts.query)
    own = scope["path"].rstrip("/"), unquote(scope.get("query_string", b"").decode("latin-1"))
    return is_here and not parts.fragment and (path, query) == own


def _is_refused(call: CurrentCall, mark: Any) -> bool:
    """Return whether the guard of an endpoint refused the call, so that other code answers.

    An unguarded handler may handle a denial as it likes. An unknown endpoint counts as guarded.
    """
    if call.refused_by is None or mark in (None, PUBLIC) or call.is_public:
        return False
    return call.refused_by is mark or not any(decision.allowed for decision in call.decisions)


def record_failure(call: CurrentCall, error: IamGuardError, log: logging.Logger, *, is_body: bool = False) -> None:
    """Record what no decision noted: bad input to a handler, a wrong set-up, an undecided endpoint.

    `is_body` tells that the error is about the body, which was not what had been signed.
    """
    trail, facts, credential = call.guard.trail, call.facts, call.principal.credential
    if is_body and credential is not None:
        trail.record_authentication(error, facts, kind=credential.kind, credential_id=credential.id)
        return
    if error.fault == "receiver" and not isinstance(error, DecisionUnavailable):
        log.error("%s %s: %s", *map(loggable, (facts.method, facts.path, error)))
    if call.decisions:
        return  # the decisions were noted where they were made
    action = call.wanted or _NOTHING_WANTED
    trail.record_error(error, facts, action=action, resource="*", principal=call.principal)
