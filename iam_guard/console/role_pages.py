"""The pages to switch to a role and back: `/signin/switchrole`, with the parameters of AWS's links, and `/signin/exit`.

A link only fills in the form: it takes the button, in our own page, to switch.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode, urlsplit

from starlette.responses import Response
from starlette.routing import Route

from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.authn.people.sessions.role_switch import TypedRole
from iam_guard.console.pages import LEAVE_ROLE, Pages, for_sessions, redirect
from iam_guard.console.session_pages import role_name
from iam_guard.console.visit import Visit
from iam_guard.model.principal import PrincipalType

_LINK_PARAMETERS = {"account": "account", "role": "roleName", "display_name": "displayName"}
"""Field -> the parameter of AWS's links that fills it in."""


class RolePages:
    """Switch to a role, and back."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._switch = pages.guard.people.role_switch

    def routes(self) -> Iterable[Route]:
        """Return the routes of these pages."""
        yield self._pages.route("/switchrole", self.show_switch, self.switch)
        yield self._pages.route(LEAVE_ROLE, self.show_leave, self.leave)

    def show_switch(self, visit: Visit, problem: str) -> Response:
        """Show the form for a role; without a session, go to sign in and come back."""
        if visit.session is None:
            url = visit.request.url
            return redirect(f"{visit.base}/?{urlencode({'next': f'{url.path}?{url.query}'})}")
        return self._show_form(visit, problem)

    @for_sessions(None, "role", in_role=True, federated=True)
    def _show_form(self, visit: Visit, session: BrowserSession, problem: str) -> Response:
        if session.federation is not None:
            return self._pages.page(visit, "page.html", "switch_role", "federated_has_no_roles")
        if session.person.type is PrincipalType.ROOT:
            return self._pages.page(visit, "page.html", "switch_role", "root_has_no_roles")
        link = visit.request.query_params
        typed = {field: visit.form.get(field, link.get(parameter, "")) for field, parameter in _LINK_PARAMETERS.items()}
        name = session.person.name
        return self._pages.page(visit, "switch_role.html", "switch_role", problem, typed=typed, name=name)

    @for_sessions(None, "role", in_role=True, federated=True)
    def switch(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """Switch to a role."""
        form = visit.form
        typed = TypedRole(form.get("account", ""), form.get("role", ""), form.get("display_name", ""))
        signed_in = self._switch.switch(session, typed, visit.call, to=_target(visit))
        return self.show_switch(visit, "switch_refused") if signed_in is None else self._pages.go_on(visit, signed_in)

    @for_sessions(None, "role", in_role=True)
    def show_leave(self, visit: Visit, session: BrowserSession, problem: str) -> Response:
        """Show the button to switch back; without a role there is nothing to leave."""
        if session.role is None:
            return redirect(visit.next or f"{visit.base}/sessions")
        name, role, is_over = session.person.name, role_name(session), session.task == "role"
        return self._pages.page(visit, "exit_role.html", "exit_role", problem, name=name, role=role, is_over=is_over)

    @for_sessions(None, "role", in_role=True)
    def leave(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """Switch back to the person."""
        signed_in = self._switch.leave(session, visit.call, to=_target(visit))
        return redirect(visit.url("/")) if signed_in is None else self._pages.go_on(visit, signed_in)


def _target(visit: Visit) -> str:
    """Return the path that the browser goes on to, without its query, for the trail."""
    return urlsplit(visit.next).path or f"{visit.base}/sessions"
