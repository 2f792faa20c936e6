"""Sessions of people's tools, as `aws login` makes them: approved in the browser, listed and ended.

A person approves a tool in a browser session, and the tool gets a code. It redeems the code for credentials and a
refresh token (`tool_grants`), which it renews until the session ends: with the browser session's own time, after twelve
hours, or when it is revoked. Signing out in the browser does not end it, as at AWS; what an identity provider or an
administrator ends, does.

A row without a `key_thumbprint` is a code that was not redeemed, and no session yet.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from iam_guard.authn.federation.role_session import TrustQuestion
from iam_guard.authn.people.passwords.stored_passwords import find_profile
from iam_guard.authn.people.person import owner_of
from iam_guard.authn.people.sessions.role_switch import Decide
from iam_guard.authn.people.sessions.session_steps import SessionSteps
from iam_guard.authn.people.sessions.tool_grants import keeps_credentials
from iam_guard.authn.tokens.session_cookie import new_token, token_digest
from iam_guard.errors import AccessDenied, DecisionUnavailable
from iam_guard.model.credential import BrowserSession, Session
from iam_guard.model.principal import SIGN_IN_SESSION, Issued, Principal, PrincipalType
from iam_guard.model.request import Call, Resource
from iam_guard.model.result import CallResult
from iam_guard.settings import Settings
from iam_guard.store.credentials.session_tokens import session_row
from iam_guard.store.database.records import PRESENT, Records, Row
from iam_guard.store.people.sign_on_rows import names_at_provider
from iam_guard.store.schema import browser_sessions, federated_sessions, tool_sessions

SAME_DEVICE: Final = "arn:aws:signin:::devtools/same-device"
CROSS_DEVICE: Final = "arn:aws:signin:::devtools/cross-device"
CLIENTS: Final[Mapping[str, str]] = {SAME_DEVICE: "localhost", CROSS_DEVICE: "remote"}
"""The id of a client -> the end of the ARN that policies name it by.

AWS's programs send these ids in every partition; the ARN that policies name is of the store's.
"""
AUTHORIZE: Final = "signin:AuthorizeOAuth2Access"
REVOKE: Final = "signin:BatchRevokeSessions"

MAX_SECONDS: Final = 43_200
"""The longest time of a session."""
CODE_SECONDS: Final = 300
"""The time in which a code must be redeemed: long enough to paste it."""
MAX_SESSIONS: Final = 100
"""Maximum sessions of a person; a further one ends the oldest."""

Record: TypeAlias = Callable[[CallResult, Call, Principal], None]
"""Writes the result of a call to the audit trail. Raises `RecordUnavailable`."""


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """What a tool asks the browser for, checked by the page."""

    client_id: str
    redirect_uri: str
    code_challenge: str
    state: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToolSession:
    """A session of a tool. `principal` is the ARN of the user, role, root user or federated user that it is of."""

    id: str
    arn: str
    principal: str
    role: str | None
    """The ARN of the role, if it is of one."""
    client_id: str
    region: str
    created: datetime
    expires: datetime
    used: datetime | None
    """When it last got credentials."""
    is_revoked: bool
    user_agent: str


class ToolSessions:
    """The sessions of tools in one store. Safe to share between threads."""

    def __init__(self, steps: SessionSteps, settings: Settings, decide: Decide, record: Record) -> None:
        self._steps = steps
        self._store = steps.store
        self._region = settings.region
        self._decide = decide
        self._record = record

    def approve(self, session: BrowserSession, request: ToolRequest, call: Call) -> str:
        """Return the code for a tool that the person of a browser session approves; only its digest is stored.

        Raises `AccessDenied` if policies don't allow it, or the session or its person may have none, and
        `DecisionUnavailable` if no decision can be made or recorded.
        """
        client = client_resource(self._store.partition, self._region, session.principal, request.client_id)
        self._require_allowed(session.principal, client, request, call)
        code, now = new_token(), self._steps.now()
        with self._store.write_transaction() as records:
            row = self._row(records, session, request, now)
            if not keeps_credentials(records, self._store.partition, row, now):
                raise AccessDenied("The person may not sign in.")
            _make_room(records, row, now)
            records.insert(tool_sessions, **row, code_digest=token_digest(code), code_expires=now + CODE_SECONDS)
        parameters = {
            "client_id": request.client_id,
            "redirect_uri": request.redirect_uri,
            "code_challenge_method": "SHA-256",
            "scope": "openid",
        }
        self._record(_result(AUTHORIZE, client, parameters, records), call, session.principal)
        return code

    def is_approved_by(self, session: BrowserSession, code: str) -> bool:
        """Return whether a code is one that this browser session has approved, and not redeemed yet."""
        with self._store.read_transaction() as records:
            row = records.one(tool_sessions, code_digest=token_digest(code))
        if row is None or row["approved_by"] != session.id or row["key_thumbprint"] is not None:
            return False
        return bool(row["revoked"] is None and row["code_expires"] > self._steps.now())

    def of(self, session: BrowserSession) -> list[ToolSession]:
        """Return the sessions of tools that the person of a browser session has approved, the latest first."""
        with self._store.read_transaction() as records:
            own = _own(session)
            rows = records.all(tool_sessions, order=("created", "id"), key_thumbprint=PRESENT, revoked=None, **own)
        now = self._steps.now()
        return [tool_session(self._store.partition, row) for row in reversed(rows) if row["expires"] > now]

    def end(self, session: BrowserSession, id: str, call: Call) -> None:
        """Revoke a session of a tool that the person has approved; nothing happens for any other id."""
        with self._store.write_transaction() as records:
            row = records.one(tool_sessions, id=id, key_thumbprint=PRESENT, **_own(session))
            if row is None or row["revoked"] is not None:
                return
            revoke(records, row, self._steps.now(), "ended by the person")
        arn = session_arn_of(self._store.partition, row)
        ended = _result(REVOKE, Resource(arn, account=row["account"]), {"sessionArns": [arn]}, records)
        self._record(ended, call, session.principal)

    def _require_allowed(self, principal: Principal, client: Resource, request: ToolRequest, call: Call) -> None:
        keys = {"signin:OAuthClientId": request.client_id, "signin:OAuthRedirectUri": request.redirect_uri}
        decision = self._decide(call, principal, TrustQuestion(AUTHORIZE, client, keys))
        if decision.error is not None:
            raise DecisionUnavailable("no decision can be made, so the request is denied")
        if not decision.allowed:
            raise AccessDenied(decision.message(), decision=decision)

    def _row(self, records: Records, session: BrowserSession, request: ToolRequest, now: int) -> dict[str, Any]:
        """Return the row of a new session. Raises `AccessDenied` if the browser session is over, or has a task."""
        table = browser_sessions if session.federation is None else federated_sessions
        browser = records.one(table, digest=session.digest)
        if browser is None:
            raise AccessDenied("The session has ended.")
        signed_in = [browser.get(name) for name in ("issuer", "subject", "provider_session")]
        principal, credential = session.principal, session.principal.credential
        issued = None if credential is None else credential.issued
        if issued is None or session.task is not None:
            raise AccessDenied("The sign-in is not complete.")
        person = owner_of(session) if session.federation is None else None
        profile = None if person is None else find_profile(records, person)
        id, expires = str(uuid.uuid4()), min(now + MAX_SECONDS, int(issued.expires.timestamp()))
        arn = f"arn:{self._store.partition}:signin:{self._region}:{principal.account}:session/{id}"
        return {
            "id": id,
            "account": principal.account,
            "identity_id": _identity_id(principal),
            "owner": principal.identity_arn if principal.type is PrincipalType.ASSUMED_ROLE else principal.arn,
            "person_account": None if person is None else person.account,
            "person_id": None if person is None else person.user_id,
            "terms": session_row(_terms(session, issued, arn, expires)),
            "client_id": request.client_id,
            "region": self._region,
            "code_challenge": request.code_challenge,
            "redirect_uri": request.redirect_uri,
            "password_changed": None if profile is None else profile["changed"],
            "created": now,
            "expires": expires,
            "approved_by": session.id,
            **names_at_provider(*signed_in),
            "user_agent": session.user_agent,
        }


def tool_session(partition: str, row: Row) -> ToolSession:
    """Return the session in a row."""
    is_role = row["owner"].partition(":role/")[1] != ""
    return ToolSession(
        id=row["id"],
        arn=session_arn_of(partition, row),
        principal=row["owner"],
        role=row["owner"] if is_role else None,
        client_id=row["client_id"],
        region=row["region"],
        created=_instant(row["created"]),
        expires=_instant(row["expires"]),
        used=None if row["used"] is None else _instant(row["used"]),
        is_revoked=row["revoked"] is not None,
        user_agent=row["user_agent"],
    )


def session_arn_of(partition: str, row: Row | Mapping[str, Any]) -> str:
    """Return the ARN of the session in a row."""
    return f"arn:{partition}:signin:{row['region']}:{row['account']}:session/{row['id']}"


def client_resource(partition: str, region: str, principal: Principal, client_id: str) -> Resource:
    """Return what policies name a client by, in the caller's account."""
    client = f"oauth2/public-client/{CLIENTS[client_id]}"
    return Resource(f"arn:{partition}:signin:{region}:{principal.account}:{client}", account=principal.account)


def revoke(records: Records, row: Row, now: int, reason: str) -> None:
    """Revoke a session, which stays listed until it would have ended; it gets no more credentials."""
    revoke_all(records, now, reason, id=row["id"])


def revoke_all(records: Records, now: int, reason: str, **where: Any) -> int:
    """Revoke the sessions in matching rows, and codes that were not redeemed; return their number."""
    return records.update(tool_sessions, {"revoked": now, "reason": reason}, revoked=None, **where)


def _terms(session: BrowserSession, issued: Issued, arn: str, expires: int) -> Session:
    """Return what the credentials are made from: the browser session's principal, and the ARN of this session.

    They count as issued when the browser session was, or the role was switched to: a policy that revokes what was
    issued before a time must hold for renewed credentials too (S-50).
    """
    keys = MappingProxyType({**session.principal.session, SIGN_IN_SESSION: arn})
    origin = session.federation
    return Session(
        "",
        "",
        replace(session.principal, session=keys, credential=None),
        issued.issued,
        _instant(expires),
        parent_key_id=None if origin is None else origin.parent_key_id,
        parent_user_id=None if origin is None else origin.parent_user_id,
        transitive_tag_keys=issued.transitive_tag_keys,
        source_identity=issued.source_identity,
        mfa_at=issued.mfa_at,
    )


def _identity_id(principal: Principal) -> str | None:
    if principal.type in (PrincipalType.USER, PrincipalType.ASSUMED_ROLE):
        return (principal.userid or "").partition(":")[0]  # P-13
    return None


def _own(session: BrowserSession) -> dict[str, Any]:
    """Return the condition of the rows that the person of a browser session has approved.

    Without a stored person, only those that this session has approved.
    """
    if session.federation is not None:
        return {"approved_by": session.id}
    person = owner_of(session)
    return {"person_account": person.account, "person_id": person.user_id}


def _make_room(records: Records, row: Mapping[str, Any], now: int) -> None:
    """Delete expired rows of the account, and codes of the person that were not redeemed; end its oldest sessions."""
    ended = set(records.expired(tool_sessions, now, account=row["account"]))
    own = {name: row[name] for name in ("person_account", "person_id")}
    own |= {} if row["person_account"] else {"approved_by": row["approved_by"]}
    columns = ("id", "key_thumbprint", "code_expires")
    current = records.all(tool_sessions, order=("created", "id"), columns=columns, revoked=None, **own)
    ended |= {one["id"] for one in current if one["key_thumbprint"] is None and one["code_expires"] <= now}
    if ended:
        records.delete(tool_sessions, id=sorted(ended))
    live = [one["id"] for one in current if one["id"] not in ended]
    surplus = live[: max(0, len(live) - MAX_SESSIONS + 1)]
    if surplus:
        records.update(tool_sessions, {"revoked": now, "reason": "too many sessions"}, id=surplus)


def _result(action: str, resource: Resource, parameters: Mapping[str, Any], records: Records) -> CallResult:
    return CallResult(
        action=action,
        resource=resource.arn,
        owner=resource.account,
        parameters=parameters,
        changed=records.changed,
        epoch=records.epoch,
    )


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
