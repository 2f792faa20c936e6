"""The page of a person's second factors: apps, passkeys and security keys are added, listed and removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from iam_guard.api.iam.credentials.qr_code import provisioning_uri, qr_drawing
from iam_guard.authn.people.own_credentials import EnabledDevice
from iam_guard.authn.people.second_factors.one_time_codes import STEP_SECONDS
from iam_guard.authn.people.second_factors.passkey_challenges import Kind
from iam_guard.authn.people.second_factors.passkey_steps import NewPasskey
from iam_guard.authn.people.second_factors.passkeys import passkey_kind
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.console.pages import Pages, for_sessions, options_response, readable, redirect, with_session
from iam_guard.console.visit import Visit
from iam_guard.imports import requires_extra
from iam_guard.store.database.records import Row

with requires_extra("console", "a page in the browser"):
    from markupsafe import Markup

_KINDS: Final[Mapping[str, Kind]] = {"passkey": "passkey", "key": "security key"}
"""The field `kind` of the form that adds one."""


class FactorPages:
    """Add, list and remove second factors."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._own, self._passkeys = pages.guard.people.own_credentials, pages.guard.people.passkeys

    def routes(self) -> Iterable[Route]:
        """Return the routes of this page and its forms."""
        yield self._pages.route("/factors", self.show_factors, self.add_app)
        yield self._pages.route("/factors/passkey", self.show_factors, self.add_key)
        yield self._pages.route("/factors/remove", self.show_factors, self.remove)

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
        rows = self._passkeys.of(session)
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
    def add_app(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """Make a device, or enable the one that the form names with two codes in a row."""
        form = visit.form
        if not self._may_add(visit, session):
            return self.show_factors(visit, "not_allowed")
        if "device" not in form:
            device = self._own.new_device(session)
            name = session.principal.name or session.principal.account or ""
            drawing = Markup(qr_drawing(provisioning_uri(name, session.principal.account or "", device.seed)))  # noqa: S704
            return self.show_factors(visit, "", device=device, drawing=drawing)
        codes = form.get("mfa_code", ""), form.get("mfa_code_2", "")
        added = self._own.enable_device(session, form["device"], codes, visit.call, browser=visit.browser)
        if isinstance(added, str):
            return self.show_factors(visit, added)
        return self._show_added(visit, added)

    @for_sessions(None, "enrol")
    def add_key(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """Add a passkey or a security key."""
        party, answer = self._pages.relying_party(visit), visit.form.get("credential", "")
        kind = _KINDS.get(visit.form.get("kind", ""))
        if party is None or kind is None:
            return self.show_factors(visit, "refused")
        step = {"iam:RegisterSecurityKey": "Activate" if answer else "Create"}  # as at AWS
        if not self._may_add(visit, session, step):
            return self.show_factors(visit, "not_allowed")
        if not answer:
            return options_response(self._passkeys.creation_options(session, party, kind))
        new = NewPasskey(kind, visit.form.get("name", ""), answer)
        added = self._passkeys.add(session, party, new, visit.call, browser=visit.browser)
        if isinstance(added, str):
            return self.show_factors(visit, added)
        return self._show_added(visit, added)

    @for_sessions(None)
    def remove(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """Remove a second factor."""
        if not self._pages.may(visit, session, "iam:DeactivateMFADevice"):
            return self.show_factors(visit, "not_allowed")
        removed = self._own.remove_factor(session, visit.form.get("serial", ""), visit.call)
        if isinstance(removed, str):
            return self.show_factors(visit, removed)
        return self.show_factors(visit, "", note="key_removed", removed=removed.passkey)

    def _may_add(self, visit: Visit, session: BrowserSession, context: Mapping[str, str] | None = None) -> bool:
        """Return whether a person may add a factor: it must, or its policies allow it."""
        return session.task == "enrol" or self._pages.may(visit, session, "iam:EnableMFADevice", context=context)

    def _show_added(self, visit: Visit, added: EnabledDevice) -> Response:
        """Show the factors with a new one, in the session that follows."""
        visit.secret, visit.session = added.signed_in.token, added.signed_in.session
        after, codes = self._pages.next_url(visit, added.signed_in.session), added.recovery_codes
        page = self.show_factors(visit, "", note="added" if codes else "key_added", codes=codes, after=after)
        return with_session(page, visit, added.signed_in)


def _last_use(app: Row) -> int | None:
    """Return when a code of an app was used last, to the half minute."""
    return None if app["last_step"] is None else app["last_step"] * STEP_SECONDS
