"""Session tokens: a session of temporary credentials, sealed into the text that its holder sends along.

Everything is in the token, so nothing is stored and opening one asks no database. Form: `igst_`, by which redaction and
scanners for secrets know it, and URL-safe base64 without padding of what the sealer makes of one byte (`_PLAIN` or
`_DEFLATED`), the session as a JSON array, and spaces where somebody wants a longer token. The context that it is sealed
under names the form's version, so a token of another form, or another sealed secret, does not open. INVARIANT: one
session token has one spelling; base64 would leave bits of the last character unread, so a token that is not spelled as
we do is refused.

Instants are kept to the second, as AWS does, and fractions cut off: a session is never older than it says, and never
longer. What the store completes for each decision (`has_boundary`, the tags of user and role) is not in it.

Rules S-1, S-2, S-40, K-21.
"""

from __future__ import annotations

import base64
import json
import zlib
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from iam_guard.errors import StoreUnavailable
from iam_guard.model.context import normalise
from iam_guard.model.credential import Session
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.store.sealing import Sealer

PREFIX = "igst_"
TOKEN_LIMIT = 8192
"""Characters of a header's value that proxies commonly let through; every token has fewer."""
PACKED_LIMIT = 4096
"""Bytes that policies, tags and source identity may take when packed; the token then keeps within its limit."""

_CONTEXT = b"session-token:1"
_PLAIN, _DEFLATED = b"J", b"Z"
_WORTH_DEFLATING = 512
_LEVEL = 9
_TYPES = {kind.value: kind for kind in PrincipalType}
_RAW = -15  # without zlib's header and checksum: the seal vouches for the content


def write_session(session: Session, sealer: Sealer, *, at_least: int = 0) -> str:
    """Seal a session into a token, of `at_least` so many characters."""
    content = _json(_row(session))
    form = _PLAIN
    if len(content) > _WORTH_DEFLATING:
        deflated = zlib.compress(content, _LEVEL, wbits=_RAW)
        if len(deflated) < len(content):
            form, content = _DEFLATED, deflated
    content = content.ljust(_room(at_least))
    return _spelled(sealer.seal(form + content, _CONTEXT))


def read_session(token: str, sealer: Sealer) -> Session | None:
    """Open a token; None for anything else than a token that was sealed with this ring, in this form, unaltered."""
    if not token.startswith(PREFIX):
        return None
    text = token[len(PREFIX) :]
    try:
        sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if _spelled(sealed) != token:
            return None
        opened = sealer.open(sealed, _CONTEXT)
    except (ValueError, StoreUnavailable):
        return None
    content = opened[1:]
    if opened.startswith(_DEFLATED):
        content = zlib.decompressobj(wbits=_RAW).decompress(content)  # what follows is room that somebody wanted
    return _session(json.loads(content.decode("utf-8", "surrogatepass")))  # given bytes, it would guess the encoding


def packed_size(session: Session) -> int:
    """Return the share of `PACKED_LIMIT` in use by policies, tags and source identity, in percent (S-40).

    It depends on these alone: not on keys, secrets or times, and not on who asks.
    """
    caller = session.principal
    if not (caller.session_policies or caller.tags or session.source_identity):
        return 0
    frozen = [caller.session_policies, dict(caller.tags), session.transitive_tag_keys, session.source_identity]
    return -(-100 * len(zlib.compress(_json(frozen), _LEVEL, wbits=_RAW)) // PACKED_LIMIT)


def _spelled(sealed: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def _room(characters: int) -> int:
    """Return how many bytes of content make a token of so many characters."""
    return max(0, -(-3 * (characters - len(PREFIX)) // 4) - Sealer.OVERHEAD - len(_PLAIN))


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


# --- the array; the two functions below are each other's inverse ----------------------------------------------------


def _row(session: Session) -> list[object]:
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


def _session(row: list[Any]) -> Session:
    key_id, secret, issued, expires, kind, arn, account, role_arn, user_arn, userid, tags, frozen, policies, *more = row
    parent_key_id, parent_user_id, transitive, source_identity, mfa_at = more
    principal = Principal(
        _TYPES[kind],
        arn,
        account,
        role_arn,
        user_arn,
        userid,
        MappingProxyType(tags),
        MappingProxyType({key: tuple(value) if isinstance(value, list) else value for key, value in frozen.items()}),
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
