"""The pages for a new password: a change, and a link to set another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

from starlette.responses import Response
from starlette.routing import Route

from iam_guard.authn.people.passwords.failed_attempts import network_of
from iam_guard.authn.people.person import Person
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.console.pages import Pages, for_sessions, redirect
from iam_guard.console.visit import Visit
from iam_guard.model.request import Call

MAX_TYPED: Final = 320
"""The characters of a typed e-mail address that are looked up: more than one can have."""

SendReset: TypeAlias = Callable[[str, str], None]
"""Sends a link to an e-mail address; it runs in a thread of the pages."""


class PasswordPages:
    """Change a password, reset it with a link, and ask for such a link."""

    def __init__(self, pages: Pages, send_reset: SendReset | None) -> None:
        self._pages = pages
        self._own = pages.guard.people.own_credentials
        self._send_reset = send_reset
        self._queue = pages.guard.people.notifications.new_queue("link to reset a password")

    def routes(self) -> Iterable[Route]:
        """Return the routes of these pages."""
        yield self._pages.route("/password", self.show_password, self.change_password, hashes=True)
        yield self._pages.route("/reset", self.show_reset, self.reset_password, hashes=True)
        yield self._pages.route("/forgot", self.show_forgot, self.send_reset)

    @for_sessions(None, "password")
    def show_password(self, visit: Visit, session: BrowserSession, problem: str) -> Response:
        """Show the form for a new password."""
        if not self._may_change_password(visit, session):
            return self._pages.page(visit, "page.html", "change_password", "not_allowed")
        is_forced = session.task == "password"
        shown: dict[str, Any] = {"note": "must_change" if is_forced and not problem else "", "is_forced": is_forced}
        name = session.person.name or ""
        return self._pages.page(visit, "password.html", "change_password", problem, name=name, **shown)

    @for_sessions(None, "password")
    def change_password(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """Change the password; other sessions end."""
        if not self._may_change_password(visit, session):
            return self.show_password(visit, "")
        old, new = visit.form.get("password", ""), visit.form.get("new_password", "")
        changed = self._own.change_password(session, old, new, visit.call)
        if isinstance(changed, str):
            return self.show_password(visit, changed)
        return self._pages.go_on(visit, changed)

    def _may_change_password(self, visit: Visit, session: BrowserSession) -> bool:
        """Return whether a person may change its password: it must, or its policies or its account allow it."""
        if session.task == "password":
            return True
        is_granted = self._own.may_all_change_passwords(session)
        return self._pages.may(visit, session, "iam:ChangePassword", is_granted=is_granted)

    def show_reset(self, visit: Visit, problem: str) -> Response:
        """Show the form for the password of a link; it shows an invited user the name to sign in with."""
        token = visit.form.get("token") or visit.request.query_params.get("token", "")
        invited = self._invited(token)
        title = "change_password" if invited is None else "first_password"
        return self._pages.page(visit, "reset.html", title, problem, token=token, invited=invited)

    def _invited(self, token: str) -> Person | None:
        """Return the person that a link invites; None for other links."""
        linked = self._own.person_of_link(token)
        return linked.person if linked is not None and linked.is_invited else None

    def reset_password(self, visit: Visit, _: str) -> Response:
        """Set the password of a link; the person then signs in with it."""
        token, new = visit.form.get("token", ""), visit.form.get("new_password", "")
        invited = self._invited(token)
        problem = self._own.reset_password(token, new, visit.call)
        if problem is not None:
            return self.show_reset(visit, problem)
        name = {} if invited is None else {"type": "user", "account": invited.account, "username": invited.name}
        return redirect(f"{visit.base}/{'?' if name else ''}{urlencode(name)}")

    def show_forgot(self, visit: Visit, problem: str) -> Response:
        """Show the form for the e-mail address of a root user who has forgotten the password."""
        if self._send_reset is None:
            return redirect(f"{visit.base}/")
        return self._pages.page(visit, "forgot.html", "forgot", problem)

    def send_reset(self, visit: Visit, _: str) -> Response:
        """Send a link. The answer is the same for every address, and waits for nothing that depends on it."""
        if self._send_reset is None:
            return redirect(f"{visit.base}/")
        email = visit.form.get("email", "")[:MAX_TYPED]
        call = partial(self._look_up_and_send, self._send_reset, email, visit.call, quote(visit.base))
        self._queue.put(network_of(visit.call.source_ip), call)
        return self._pages.page(visit, "page.html", "forgot", "", note="reset_sent")

    def _look_up_and_send(self, send: SendReset, email: str, call: Call, base: str) -> None:
        mail = self._own.request_reset(email, call)
        if mail is not None:
            send(mail.email, f"{base}/reset?{urlencode({'token': mail.token})}")
