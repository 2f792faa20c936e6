"""Session tokens: temporary credentials sealed into a string that the client sends with each request.

The token contains the whole session, so nothing is stored and opening one needs no database query. Format: the prefix
`igst_`, which redaction and secret scanners match, and unpadded URL-safe base64 of the sealed content: one byte
(`_PLAIN` or `_DEFLATED`), the session as a JSON array, and spaces up to a requested length. The sealing context names
the version of the format, so a token of another format, or another sealed secret, does not open.

Times are truncated to the second, as in AWS: a session never starts or ends later than it should. What the store adds
for each decision (`has_boundary`, the tags of user and role) is not included.

Rules S-1, S-2, S-40, K-21.
"""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from iam_guard.model.context import normalise
from iam_guard.model.credential import Session
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.store.sealing import Sealer

PREFIX = "igst_"
TOKEN_LIMIT = 8192
"""The length of a header's value that proxies commonly accept; every token is shorter."""
PACKED_LIMIT = 4096
"""The limit for the packed policies, tags and source identity, in bytes; it keeps the token within its own limit."""

_CONTEXT = b"session-token:1"
_PLAIN, _DEFLATED = b"J", b"Z"
_WORTH_DEFLATING = 512
_LEVEL = 9
_RAW = -15  # without zlib's header and checksum: the seal authenticates the content


def write_session(session: Session, sealer: Sealer, *, at_least: int = 0) -> str:
    """Seal a session into a token of at least `at_least` characters."""
    content = _json(session_row(session))
    form = _PLAIN
    if len(content) > _WORTH_DEFLATING:
        deflated = zlib.compress(content, _LEVEL, wbits=_RAW)
        if len(deflated) < len(content):
            form, content = _DEFLATED, deflated
    content = content.ljust(_content_length(at_least))
    return sealer.seal_text(form + content, _CONTEXT, PREFIX)


def read_session(token: str, sealer: Sealer) -> Session | None:
    """Open a token; None unless it was sealed with these keys, in this format, and is unaltered."""
    opened = sealer.open_text(token, _CONTEXT, PREFIX)
    if opened is None:
        return None
    content = opened[1:]
    if opened.startswith(_DEFLATED):
        content = zlib.decompressobj(wbits=_RAW).decompress(content)  # ignores the padding that follows
    return session_of_array(
        json.loads(content.decode("utf-8", "surrogatepass"))
    )  # from bytes, it would guess the encoding


def packed_size(session: Session) -> int:
    """Return the share of `PACKED_LIMIT` in use by policies, tags and source identity, in percent (S-40).

    It depends on these alone, not on the caller, keys, secrets or times.
    """
    caller = session.principal
    if not (caller.session_policies or caller.tags or session.source_identity):
        return 0
    content = [caller.session_policies, dict(caller.tags), session.transitive_tag_keys, session.source_identity]
    return -(-100 * len(zlib.compress(_json(content), _LEVEL, wbits=_RAW)) // PACKED_LIMIT)


def _content_length(characters: int) -> int:
    """Return the number of bytes of content in a token of a given length."""
    return max(0, -(-3 * (characters - len(PREFIX)) // 4) - Sealer.OVERHEAD - len(_PLAIN))


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


# --- the array, also of sessions in the database; the two functions below are inverse to each other ------------------


def session_row(session: Session) -> list[object]:
    """Return a session as a JSON array."""
    caller = session.principal
    return [
        session.access_key_id,
        session.secret,
        int(session.issued.timestamp()),
        int(session.expires.timestamp()),
        caller.type.value,
        caller.arn,
        caller.account,
        caller.role_arn,
        caller.user_arn,
        caller.userid,
        dict(caller.tags),
        {key: normalise(value, key) for key, value in caller.session.items() if value is not None},
        caller.session_policies,
        session.parent_key_id,
        session.parent_user_id,
        session.transitive_tag_keys,
        session.source_identity,
        None if session.mfa_at is None else int(session.mfa_at.timestamp()),
    ]


def session_of_array(row: list[Any]) -> Session:
    """Return the session of an array that `session_row` wrote."""
    key_id, secret, issued, expires, kind, arn, account, role_arn, user_arn, userid, *more = row
    tags, context, policies, parent_key_id, parent_user_id, transitive, source_identity, mfa_at = more
    principal = Principal(
        PrincipalType(kind),
        arn,
        account,
        role_arn,
        user_arn,
        userid,
        MappingProxyType(tags),
        MappingProxyType({key: tuple(value) if isinstance(value, list) else value for key, value in context.items()}),
        None if policies is None else tuple(policies),
    )
    return Session(
        key_id,
        secret,
        principal,
        datetime.fromtimestamp(issued, UTC),
        datetime.fromtimestamp(expires, UTC),
        parent_key_id,
        parent_user_id,
        tuple(transitive),
        source_identity,
        None if mfa_at is None else datetime.fromtimestamp(mfa_at, UTC),
    )
