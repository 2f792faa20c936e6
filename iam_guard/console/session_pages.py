"""The page of a person's sessions, and the end of one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from iam_guard.authn.people.browser_sessions import BrowserSession
from iam_guard.authn.people.person import owner_of
from iam_guard.authn.session_cookie import clear_cookie
from iam_guard.console.pages import Pages, for_sessions, readable, redirect
from iam_guard.console.visit import Visit


class SessionPages:
    """List and end sessions."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._sign_in, self._tools = pages.guard.people.sign_in, pages.guard.people.tool_sessions

    def routes(self) -> Iterable[Route]:
        """Return the routes of these pages."""
        yield self._pages.route("/sessions", self.show_sessions, self.end_session)
        yield self._pages.route("/out", self.show_sessions, self.sign_out)

    @for_sessions(None, in_role=True)
    def show_sessions(self, visit: Visit, session: BrowserSession, problem: str) -> Response:
        """Show the sessions of the person."""
        shown = [
            {
                "id": found.id,
                "created": readable(found.created),
                "seen": readable(found.seen),
                "address": found.address,
                "user_agent": found.user_agent,
                "is_current": found.id == session.id,
                "role": role_name(found),
            }
            for found in self._pages.sessions.of(owner_of(session))
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
        who: dict[str, Any] = {"name": session.person.name, "role": role_name(session), "tools": tools}
        return self._pages.page(visit, "sessions.html", "sessions", problem, wide=True, sessions=shown, **who)

    @for_sessions(None, in_role=True)
    def end_session(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """End one session of the person, or of one of its tools."""
        if "tool" in visit.form:
            self._tools.end(session, visit.form["tool"], visit.call)
            return redirect(f"{visit.base}/sessions")
        self._pages.sessions.end(visit.form.get("session", ""), owner_of(session))
        return redirect(f"{visit.base}/sessions")

    def sign_out(self, visit: Visit, _: str) -> Response:
        """End this session."""
        if visit.session is not None:
            self._sign_in.sign_out(visit.session, visit.call)
            visit.session = None
        answer = self._pages.page(visit, "page.html", "sign_in", "", note="signed_out")
        if visit.cookie_name is not None:
            answer.headers.append("set-cookie", clear_cookie(visit.cookie_name))
        return answer


def role_name(session: BrowserSession) -> str:
    """Return the role of a session for people: the name that the person gave it, and that it has; empty for none."""
    role = session.role
    if role is None:
        return ""
    name = f"{role.arn.partition(':role/')[2]} @ {role.account}"
    return f"{role.label} ({name})" if role.label else name
