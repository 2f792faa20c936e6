"""Shares in a resource-based policy: one readable statement for each grantee, beside those that people wrote.

A share is a statement of exactly this form; the name of its `Sid` says whom it is for:

    {"Sid": "ShareWithAccount444455556666", "Effect": "Allow", "Principal": {"AWS": "444455556666"},
     "Action": ["docs:GetDocument"], "Resource": "arn:aws:docs:us-east-1:111122223333:document/plan"}

Every other statement was written by hand, also one that was a share before a person edited it. Changes replace the
characters of a share in the text, and add a new one at its end, so the text of all other statements stays as it is.

A grantee is written as the policy names it: an account id, the ARN of a user, role or session, `*`, or the unique id of
a user or role that was deleted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.model.arn import Arn, is_account_id
from iam_guard.model.decision import PolicyType
from iam_guard.policy.builder import literal
from iam_guard.policy.document import ANY_PRINCIPAL, LATEST, Document, Effect, Statement
from iam_guard.policy.grammar import quoted
from iam_guard.policy.json_tree import SYNTAX
from iam_guard.policy.parser import parse

EVERYONE_GRANTEE: Final = "*"
_PREFIX: Final = "ShareWith"
_KINDS: Final = {"user": "User", "role": "Role", "assumed-role": "Session", "federated-user": "FederatedUser"}
_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Share:
    """What an Allow of a resource's policy grants to one grantee, or more than that, but never less.

    `kind` is `AWS`, or `Service`, `Federated` or `CanonicalUser`, which only statements written by hand have. `actions`
    is `*` for a statement with `NotAction`. `has_condition`: it applies under conditions only. The Denies of the policy
    are not subtracted.
    """

    grantee: str
    actions: tuple[str, ...]
    sid: str | None
    is_written_by_hand: bool
    has_condition: bool = False
    kind: str = "AWS"


def shares_in(text: str, arn: str) -> list[Share]:
    """Return what the Allow statements of a resource's policy grant, in their order, each for one grantee.

    Raises `PolicyError` for a policy that can't be parsed.
    """
    document = parse(text, PolicyType.RESOURCE)
    return [
        Share(
            _plain(kind, value),
            statement.actions if statement.actions is not None else ("*",),
            statement.sid,
            not _is_share(statement, document, arn),
            bool(statement.conditions),
            kind,
        )
        for statement in document.statements
        if statement.effect is Effect.ALLOW
        for kind, value in dict.fromkeys(statement.principals or ())
    ]


def with_share(text: str | None, arn: str, grantee: str, actions: Sequence[str]) -> str:
    """Return a policy with a share of at least these actions: that of the grantee extended, or a new one.

    Raises `PolicyError` for a policy that can't be parsed, and `InvalidInput` for an edited share of the grantee.
    """
    if text is None:
        new = {"Version": LATEST, "Statement": [_statement(_sid(grantee), grantee, actions, arn, LATEST)]}
        return json.dumps(new, indent=2, ensure_ascii=False)
    document = parse(text, PolicyType.RESOURCE)
    found = _shares_of(document, arn, grantee)
    if found:
        first = found[0]
        return _with_actions(text, document, first, arn, _joined(first.actions or (), actions))
    taken = {statement.sid for statement in document.statements}
    sid, number = _sid(grantee), 1
    while sid in taken:
        number += 1
        sid = f"{_sid(grantee)}x{number}"
    return _appended(text, document, _statement(sid, grantee, actions, arn, document.version))


def without_share(text: str, arn: str, grantee: str, actions: Sequence[str] | None) -> str | None:
    """Return a policy without a grantee's share of some actions, or of all; None if nothing else is in it.

    An action that is not shared stays so. Raises as `with_share`.
    """
    removed = None if actions is None else {action.lower() for action in actions}
    while True:
        document = parse(text, PolicyType.RESOURCE)
        for share in _shares_of(document, arn, grantee):
            before = share.actions or ()
            kept = () if removed is None else tuple(action for action in before if action.lower() not in removed)
            if kept != before:
                break
        else:
            return text
        if kept:
            text = _with_actions(text, document, share, arn, kept)
        elif len(document.statements) == 1:
            return None
        else:
            text = _without(text, document, share.index)


def shared_actions(text: str | None, arn: str, grantee: str) -> tuple[str, ...]:
    """Return the actions of a grantee's shares. Raises as `with_share`."""
    if text is None:
        return ()
    found = _shares_of(parse(text, PolicyType.RESOURCE), arn, grantee)
    return tuple(dict.fromkeys(action for share in found for action in share.actions or ()))


def share_index(text: str, arn: str, grantee: str) -> int:
    """Return the index of the statement that is a grantee's share, which it has. Raises as `with_share`."""
    return _shares_of(parse(text, PolicyType.RESOURCE), arn, grantee)[0].index


# --- which statements are shares ---------------------------------------------------------------------------------


def _shares_of(document: Document, arn: str, grantee: str) -> list[Statement]:
    found = []
    for statement in document.statements:
        if not (statement.sid or "").startswith(_PREFIX):
            continue
        if grantee not in [
            _plain(*entry) for entry in (*(statement.principals or ()), *(statement.not_principals or ()))
        ]:
            continue
        if not _is_share(statement, document, arn):
            message = f"the statement {quoted(statement.sid or '')} was edited by hand: change the policy by hand, or"
            raise InvalidInput(f"{message} rename the statement", place=f"/Statement/{statement.index}")
        found.append(statement)
    return found


def _is_share(statement: Statement, document: Document, arn: str) -> bool:
    """Return whether a statement has the form of a share, with nothing added or missing."""
    return (
        (statement.sid or "").startswith(_PREFIX)
        and statement.effect is Effect.ALLOW
        and len(statement.principals or ()) == 1
        and (statement.principals or ANY_PRINCIPAL)[0][0] == "AWS"
        and bool(statement.actions)
        and statement.resources == (_resource(arn, document.version),)
        and not statement.conditions
    )


def _plain(kind: str, value: str) -> str:
    """Return a principal as grantees are written: the root of an account is the account."""
    fields = value.split(":", 5)
    is_root = kind == "AWS" and len(fields) == 6 and fields[2] == "iam" and fields[5] == "root"
    return fields[4] if is_root and is_account_id(fields[4]) else value


def _resource(arn: str, version: str) -> str:
    return literal(arn) if version == LATEST else arn  # only the latest version has variables (G-5)


def _sid(grantee: str) -> str:
    if grantee == EVERYONE_GRANTEE:
        return f"{_PREFIX}Everyone"
    if is_account_id(grantee):
        return f"{_PREFIX}Account{grantee}"
    arn = Arn.parse(grantee)
    kind, _, name = arn.resource.partition("/")
    words = [word for word in _NOT_PLAIN.split(name if arn.service == "sts" else name.rpartition("/")[2]) if word]
    plain = "".join(word[0].upper() + word[1:] for word in words)
    return f"{_PREFIX}{_KINDS[kind]}{plain}Of{arn.account}"


def _statement(sid: str, grantee: str, actions: Sequence[str], arn: str, version: str) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": EVERYONE_GRANTEE if grantee == EVERYONE_GRANTEE else {"AWS": grantee},
        "Action": sorted(actions),
        "Resource": _resource(arn, version),
    }


def _joined(before: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    known = {action.lower() for action in before}
    return (*before, *(action for action in more if action.lower() not in known))


# --- the text ----------------------------------------------------------------------------------------------------


def _with_actions(text: str, document: Document, share: Statement, arn: str, actions: Sequence[str]) -> str:
    if sorted(actions) == sorted(share.actions or ()):
        return text
    [(_, grantee)] = share.principals or ANY_PRINCIPAL
    written = _statement(share.sid or "", grantee, actions, arn, document.version)
    start, end = _spans(text, document)[share.index]
    return text[:start] + _written(written, _indent(text, start)) + text[end:]


def _appended(text: str, document: Document, statement: dict[str, Any]) -> str:
    spans = _spans(text, document)
    if not spans:
        raise PolicyError("expected a policy with a statement, got an empty list", place="/Statement", finding=SYNTAX)
    (first, _), (last, end) = spans[0], spans[-1]
    indent = _indent(text, last)
    added = "," + (" " if indent is None else f"\n{indent}") + _written(statement, indent)
    if text[:first].rstrip().endswith("["):
        return text[:end] + added + text[end:]
    return f"{text[:first]}[{text[first:end]}{added}]{text[end:]}"  # one statement, without a list


def _without(text: str, document: Document, index: int) -> str:
    spans = _spans(text, document)
    if index == 0:
        return text[: spans[0][0]] + text[spans[1][0] :]
    return text[: spans[index - 1][1]] + text[spans[index][1] :]


def _spans(text: str, document: Document) -> list[tuple[int, int]]:
    """Return where the text of each statement begins and ends."""
    decoder, spans = json.JSONDecoder(parse_int=str, parse_float=str), []
    for statement in document.statements:
        start = statement.position.offset if statement.position is not None else 0
        spans.append((start, decoder.raw_decode(text, start)[1]))
    return spans


def _indent(text: str, start: int) -> str | None:
    """Return the white space before the statement that begins there; None if it begins within a line."""
    before, line_break, indent = text[:start].rpartition("\n")
    return indent if line_break and before and not indent.strip() else None


def _written(statement: dict[str, Any], indent: str | None) -> str:
    if indent is None:
        return json.dumps(statement, ensure_ascii=False)
    return json.dumps(statement, indent=2, ensure_ascii=False).replace("\n", f"\n{indent}")
