"""The pages of a person who has signed in: its sessions, and its second factors."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import Route

from iam_guard.api.iam.qr_code import provisioning_uri, qr_drawing
from iam_guard.authn.people.browser_sessions import BrowserSession
from iam_guard.authn.people.one_time_codes import STEP_SECONDS
from iam_guard.authn.people.passkeys import passkey_kind
from iam_guard.authn.people.person import owner_of
from iam_guard.authn.session_cookie import clear_cookie
from iam_guard.console.pages import Pages, for_sessions, redirect, with_session
from iam_guard.console.visit import Visit
from iam_guard.store.records import Row


class SessionPages:
    """List and end sessions, and add second factors."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._sign_in = pages.guard.sign_in
        self._own = pages.guard.own_credentials

    def routes(self) -> Iterable[Route]:
        """Return the routes of these pages."""
        yield self._pages.route("/sessions", self.show_sessions, self.end_session)
        yield self._pages.route("/factors", self.show_factors, self.add_factor)
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
        who = {"name": session.person.name, "role": role_name(session)}
        return self._pages.page(visit, "sessions.html", "sessions", problem, wide=True, sessions=shown, **who)

    @for_sessions(None, in_role=True)
    def end_session(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """End one session of the person."""
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

    @for_sessions(None, "enrol")
    def show_factors(self, visit: Visit, session: BrowserSession, problem: str, **shown: Any) -> Response:
        """Show the second factors of the person."""
        is_enrolling = session.task == "enrol"
        factors = self._factors(session)
        if is_enrolling and not shown and factors:
            return redirect(visit.url("/mfa"))  # added in another session meanwhile
        defaults: dict[str, Any] = {
            "factors": factors,
            "needs_mfa": session.mfa_at is None and bool(factors),
            "passkeys": self._pages.relying_party(visit),
            "wide": bool(factors),
            "note": "must_enrol" if is_enrolling and not problem else "",
            "is_enrolling": is_enrolling,
        }
        nothing_new: dict[str, Any] = {"device": None, "codes": [], "drawing": "", "removed": "", "after": ""}
        return self._pages.page(visit, "factors.html", "factors", problem, **(defaults | nothing_new | shown))

    def _factors(self, session: BrowserSession) -> list[dict[str, str]]:
        """Return the person's second factors as they are shown: apps, then passkeys and security keys."""
        apps = [(row, "authenticator_app", row["enabled"], _last_use(row)) for row in self._own.devices(session)]
        rows = self._pages.guard.passkeys.of(session)
        keys = [(row, passkey_kind(row).replace(" ", "_"), row["created"], row["used"]) for row in rows]
        return [
            {
                "serial": row["serial"],
                "name": row["name"],
                "kind": kind,
                "created": readable(datetime.fromtimestamp(created, UTC)),
                "used": "" if used is None else readable(datetime.fromtimestamp(used, UTC)),
            }
            for row, kind, created, used in (*apps, *keys)
        ]

    @for_sessions(None, "enrol")
    def add_factor(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """Make a device, or enable the one that the form names with two codes in a row."""
        form = visit.form
        if session.task != "enrol" and not self._pages.may(visit, session, "iam:EnableMFADevice"):
            return self.show_factors(visit, "not_allowed")
        if "device" not in form:
            device = self._own.new_device(session)
            name = session.principal.name or session.principal.account or ""
            drawing = Markup(qr_drawing(provisioning_uri(name, session.principal.account or "", device.seed)))  # noqa: S704
            return self.show_factors(visit, "", device=device, drawing=drawing)
        codes = form.get("mfa_code", ""), form.get("mfa_code_2", "")
        added = self._own.enable_device(session, form["device"], codes, visit.call)
        if isinstance(added, str):
            return self.show_factors(visit, added)
        visit.secret, visit.session = added.signed_in.token, added.signed_in.session
        after = self._pages.next_url(visit, added.signed_in.session)
        answer = self.show_factors(visit, "", note="added", codes=added.recovery_codes, after=after)
        return with_session(answer, visit, added.signed_in)


def role_name(session: BrowserSession) -> str:
    """Return the role of a session for people: the name that the person gave it, and that it has; empty for none."""
    role = session.role
    if role is None:
        return ""
    name = f"{role.arn.partition(':role/')[2]} @ {role.account}"
    return f"{role.label} ({name})" if role.label else name


def _last_use(app: Row) -> int | None:
    """Return when a code of an app was used last, to the half minute."""
    return None if app["last_step"] is None else app["last_step"] * STEP_SECONDS


def readable(instant: datetime) -> str:
    """Return an instant for people."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
