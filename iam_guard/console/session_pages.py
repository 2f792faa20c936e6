"""The page of a person's sessions, and the end of one; also of sessions without a stored person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from iam_guard.authn.people.person import owner_of
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.authn.tokens.session_cookie import clear_cookie
from iam_guard.console.pages import NOT_A_PERSON, Pages, for_sessions, readable, redirect
from iam_guard.console.visit import Visit
from iam_guard.model.principal import PrincipalType

_LOGOUT_URLS: Final = ("https://", "http://localhost", "http://127.0.0.1")
"""How the address of a provider's logout begins; plain HTTP is for development."""


class SessionPages:
    """List and end sessions."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        people = pages.guard.people
        self._sign_in, self._tools, self._federated = people.sign_in, people.tool_sessions, people.federated_sessions

    def routes(self) -> Iterable[Route]:
        """Return the routes of these pages."""
        yield self._pages.route("/sessions", self.show_sessions, self.end_session)
        yield self._pages.route("/out", self.show_sessions, self.sign_out)

    @for_sessions(None, in_role=True, federated=True)
    def show_sessions(self, visit: Visit, session: BrowserSession, problem: str) -> Response:
        """Show the sessions of the person, or of the one who signed in to a session without a stored person."""
        is_person = session.federation is None
        own = self._pages.sessions.of(owner_of(session)) if is_person else self._federated.of(session)
        shown: list[dict[str, Any]] = [
            {
                "id": found.id,
                "created": readable(found.created),
                "seen": readable(found.seen),
                "address": found.address,
                "user_agent": found.user_agent,
                "is_current": found.id == session.id,
                "role": role_name(found),
            }
            for found in own
        ]
        tools = [
            {
                "id": found.id,
                "created": readable(found.created),
                "used": "" if found.used is None else readable(found.used),
                "principal": found.principal,
                "client": f"tool_{found.client_id.rpartition('/')[2].replace('-', '_')}",
                "user_agent": found.user_agent,
            }
            for found in self._tools.of(session)
        ]
        is_refused = visit.request.query_params.get("reason") == NOT_A_PERSON and not is_person
        who: dict[str, Any] = {"name": session.person.name, "role": role_name(session), "is_person": is_person}
        note = NOT_A_PERSON if is_refused else ""
        return self._pages.page(
            visit, "sessions.html", "sessions", problem, note=note, wide=True, sessions=shown, tools=tools, **who
        )

    @for_sessions(None, in_role=True, federated=True)
    def end_session(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """End one session of the person, or of one of its tools."""
        id = visit.form.get("session", "")
        if "tool" in visit.form:
            self._tools.end(session, visit.form["tool"], visit.call)
        elif session.federation is None:
            self._pages.sessions.end(id, owner_of(session))
        else:
            self._federated.end(id, session)
        return redirect(f"{visit.base}/sessions")

    def sign_out(self, visit: Visit, _: str) -> Response:
        """End this session, and link to the sign-out of the identity provider if it has one."""
        provider_url = ""
        if visit.session is not None:
            provider_url = self._provider_url(visit.session)
            self._sign_in.sign_out(visit.session, visit.call)
            visit.session = None
        answer = self._pages.page(visit, "page.html", "sign_in", "", note="signed_out", provider_url=provider_url)
        if visit.cookie_name is not None:
            answer.headers.append("set-cookie", clear_cookie(visit.cookie_name))
        return answer

    def _provider_url(self, session: BrowserSession) -> str:
        """Return where the one who signed in signs out of the identity provider; empty for nowhere."""
        if session.federation is None or session.federation.method != "oidc":
            return ""
        hint = self._federated.logout_hint(session)
        return hint if hint is not None and hint.startswith(_LOGOUT_URLS) else ""


def role_name(session: BrowserSession) -> str:
    """Return the role of a session for people: the name that the person gave it, and that it has; empty for none."""
    role, caller = session.role, session.person
    if role is None:
        is_role = caller.type is PrincipalType.ASSUMED_ROLE and caller.role_arn is not None
        return _shown_role(caller.role_arn or "", caller.account or "") if is_role else ""
    name = _shown_role(role.arn, role.account)
    return f"{role.label} ({name})" if role.label else name


def _shown_role(arn: str, account: str) -> str:
    return f"{arn.partition(':role/')[2]} @ {account}"
