"""Sealed principals: a caller in a text that a worker opens later, and decides for with the policies of that moment.

The text is encrypted and authenticated with the sealing keys of the store. It is no credential of its own: opening it
checks again that the user or role still exists, by unique id, and that the credential that the caller used is still
valid, as far as the store knows: keys by their status and expiry, a browser session by its row. Whatever the credential
is, the text never outlives it, nor the text that its principal was opened from.
"""

from __future__ import annotations

import json
import math
import secrets
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from iam_guard.audit.trail import Trail
from iam_guard.authn.credential_verifier import require_active
from iam_guard.errors import CredentialError, ExpiredToken, IamGuardError, InvalidClientTokenId, InvalidInput
from iam_guard.model.principal import Credential, Principal, PrincipalType
from iam_guard.model.used_credential import Envelope
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.credentials.used_tokens import use_token
from iam_guard.store.schema import browser_sessions, federated_sessions

PREFIX: Final = "igpr_"
"""The prefix of sealed principals, which redaction and secret scanners match."""
MAX_LENGTH: Final = 32_768
"""Characters of a sealed principal."""
MAX_AUDIENCE: Final = 256
MAX_SEALED_SECONDS: Final = 30 * 86_400
"""The longest `expires_in`."""

_CONTEXT: Final = b"sealed-principal:1"
_PURPOSE: Final = "sealed-principal"
_MAX_CONTENT: Final = 1 << 20
_SKEW: Final = 600
"""Seconds by which the clocks of two workers may differ: a use is remembered that much longer."""
_ACTING: Final = (PrincipalType.USER, PrincipalType.ASSUMED_ROLE, PrincipalType.FEDERATED_USER, PrincipalType.ROOT)


class _Content(NamedTuple):
    """What a text contains; in the text, an array with the members of the principal."""

    id: str
    expires: float
    audience: str
    once: bool
    after_sign_out: bool
    identity_id: str | None
    """The unique id of the user or role whose policies apply, since names can be reused (P-6); None for root."""
    principal: Principal


class SealedPrincipals:
    """Seals and opens the callers whose work a worker does. Safe to share between threads."""

    def __init__(self, store: CachedStore, settings: Settings, trail: Trail, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._settings = settings
        self._trail = trail
        self._clock = clock

    def seal(
        self,
        principal: Principal,
        *,
        expires_in: float = 3600.0,
        once: bool = False,
        audience: str = "",
        after_sign_out: bool = False,
    ) -> str:
        """Return a principal as a text for `open`, for `expires_in` seconds, or until its credential ends.

        It opens for the same `audience` only, such as the name of a queue; with `once`, once. A browser session must
        not have ended when it is opened, except with `after_sign_out`. Raises `InvalidInput` for arguments out of range
        and for a principal that can't act later: an anonymous one, a service, one that is not in the store; a
        `CredentialError` for one whose credential has ended; `ContextError` for condition keys that no decision could
        use; `StoreUnavailable`. `AccountNotActive` is a `CredentialError`.
        """
        _check_audience(audience)
        is_number = isinstance(expires_in, (int, float)) and not isinstance(expires_in, bool)
        if not is_number or not 1 <= expires_in <= MAX_SEALED_SECONDS:
            raise InvalidInput(f"expected a number of seconds from 1 to {MAX_SEALED_SECONDS}", place="expires_in")
        if not isinstance(principal, Principal) or principal.type not in _ACTING:
            got = principal.type if isinstance(principal, Principal) else type(principal).__name__
            raise InvalidInput(f"expected a user, role session, federated user or root user, got `{got}`")
        record = self._store.principal(principal)
        if not record.exists:
            raise InvalidInput(f"expected a principal of this store, got `{principal.arn[:200]}`")
        self._require_active(principal.account)
        if principal.userid is None:
            principal = replace(principal, userid=record.principal.userid)
        now = self._clock()
        ends = [now + timedelta(seconds=expires_in), self._credential_end(principal.credential, now)]
        expires = min(end.timestamp() for end in ends if end is not None)
        id = secrets.token_hex(12)
        return self._sealed(_Content(id, expires, audience, once, after_sign_out, record.identity_id, principal))

    def open(self, text: str, *, audience: str = "") -> Principal:
        """Return the principal that `seal` sealed for the same audience, for decisions of this moment.

        Raises `ExpiredToken` for a text that has expired, or whose credential has; `InvalidClientTokenId` for one that
        is altered, of another store or audience, was opened before and opens once, or whose user, role, key or browser
        session is gone. Both are `CredentialError`s, and recorded in the trail. Raises `StoreUnavailable`, and
        `StoreIsReadOnly` for `once` with a store that follows a file.
        """
        _check_audience(audience)
        content: _Content | None = None
        try:
            content = self._opened(text)
            self._check(content, audience)
        except CredentialError as refusal:
            self._trail.record_authentication(refusal, None, credential_id=content and content.id)
            raise
        principal = content.principal
        used = principal.credential or Credential("none")
        envelope = Envelope(content.id, datetime.fromtimestamp(content.expires, UTC))
        self._trail.count_authentication(used.kind)
        return replace(principal, credential=replace(used, envelope=envelope))

    def _check(self, content: _Content, audience: str) -> None:
        now, credential = self._clock(), content.principal.credential
        if content.audience != audience:
            raise InvalidClientTokenId("the principal was sealed for another audience")
        if content.expires <= now.timestamp():
            raise ExpiredToken("the sealed principal has expired")
        self._require_active(content.principal.account)
        record = self._store.principal(content.principal)
        if not record.exists or record.identity_id != content.identity_id:
            raise InvalidClientTokenId("the user or role of the sealed principal does not exist any more")
        self._credential_end(credential, now)
        if credential is not None and credential.kind == "session" and not content.after_sign_out:
            self._check_browser_session(credential.id, int(now.timestamp()))
        if content.once:
            until = math.ceil(content.expires) + _SKEW
            with self._store.write_transaction() as records:
                is_first = use_token(records, _PURPOSE, content.id, expires=until, now=int(now.timestamp()))
            if not is_first:
                raise InvalidClientTokenId("the sealed principal was opened before, and opens once")

    def _credential_end(self, credential: Credential | None, now: datetime) -> datetime | None:
        """Return when a credential expires, None if it does not. Raises a `CredentialError` if it has ended."""
        if credential is None:
            return None
        ends = [terms.expires for terms in (credential.issued, credential.envelope) if terms is not None]
        parent_key_id = None if credential.issued is None else credential.issued.parent_key_id
        key_id = credential.id if credential.kind == "sigv4" else parent_key_id
        if key_id is not None:
            key = self._store.access_key(key_id)
            if key is None or not key.active:
                raise InvalidClientTokenId("the access key of the sealed principal is not active any more")
        if credential.kind == "api-key":
            api_key = self._store.api_key(credential.id or "")
            if api_key is None or not api_key.active:
                raise InvalidClientTokenId("the API key of the sealed principal is not active any more")
            ends += [] if api_key.expires is None else [api_key.expires]
        end = min(ends, default=None)
        if end is not None and end <= now:
            raise ExpiredToken("the credential of the sealed principal has expired")
        return end

    def _check_browser_session(self, id: str | None, now: int) -> None:
        """Raise `InvalidClientTokenId` if a browser session has ended: signed out, idle, expired, in another role."""
        with self._store.read_transaction() as records:
            row = records.one(browser_sessions, id=id)
            has_task = row is not None and row["task"] is not None
            row = row or records.one(federated_sessions, id=id)
        is_live = row is not None and row["expires"] > now and row["seen"] > now - self._settings.session_idle
        if row is None or has_task or not is_live:
            raise InvalidClientTokenId("the browser session of the sealed principal has ended")
        self._require_active(row["account"])  # of the person, who may be in a role of another account

    def _require_active(self, account: str | None) -> None:
        require_active(self._store.account(account or ""))

    # --- the text ------------------------------------------------------------------------------------------------

    def _sealed(self, content: _Content) -> str:
        members = content.principal.to_dict()
        Principal.from_dict(members)  # raises for what could not be opened
        terms = json.dumps([*content[:-1], members], ensure_ascii=False, separators=(",", ":"))
        written = terms.encode("utf-8", "surrogatepass")
        text = self._store.sealer.seal_text(zlib.compress(written), _CONTEXT, PREFIX)
        if len(text) > MAX_LENGTH or len(written) > _MAX_CONTENT:
            raise InvalidInput(f"expected a principal of at most {MAX_LENGTH} characters when sealed")
        return text

    def _opened(self, text: str) -> _Content:
        if not isinstance(text, str):
            raise InvalidClientTokenId(f"expected a sealed principal, got `{type(text).__name__}`")
        if len(text) > MAX_LENGTH:
            raise InvalidClientTokenId(f"expected a sealed principal of at most {MAX_LENGTH} characters")
        opened = self._store.sealer.open_text(text, _CONTEXT, PREFIX)
        if opened is None:
            raise InvalidClientTokenId("the sealed principal is altered, or of another store")
        try:
            written = zlib.decompressobj().decompress(opened, _MAX_CONTENT)
            terms = json.loads(written.decode("utf-8", "surrogatepass"))  # from bytes, it would guess the encoding
            return _Content(*terms)._replace(principal=Principal.from_dict(terms[-1]))
        except (ValueError, TypeError, IndexError, zlib.error, IamGuardError):
            raise InvalidClientTokenId("the principal was sealed by another version") from None


def _check_audience(audience: str) -> None:
    if not isinstance(audience, str) or len(audience) > MAX_AUDIENCE:
        raise InvalidInput(f"expected a string of at most {MAX_AUDIENCE} characters", place="audience")
