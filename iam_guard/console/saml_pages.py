"""Sign-on by SAML: `/signin/saml/start`, `/acs` and `/metadata`, for a site with the setting `site_url`.

An identity provider has the browser post its response to `/acs`. That comes from another site, so without our cookies:
the response is verified, and waits until the browser has followed a redirect to `/signin/continue`, with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from iam_guard.authn.people.passwords.failed_attempts import network_of
from iam_guard.console.company_pages import ask_to_begin, offers_sign_on
from iam_guard.console.continue_pages import received_cookie, record_refusal, refused
from iam_guard.console.forms import read_form, safe_next
from iam_guard.console.pages import Pages, redirect
from iam_guard.console.sign_on_attempt import SignOnAttempt, start_cookie
from iam_guard.console.visit import Visit
from iam_guard.errors import AccessDenied
from iam_guard.web.service import public
from iam_guard.web.shared_workers import in_saml_worker

MAX_RESPONSE_FORM: Final = 160 * 1024
"""Bytes of a form with a response: it has at most 100,000 characters, some of which a form writes as three."""


class SamlPages:
    """Begin a sign-on by SAML, and receive the response."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._guard = pages.guard
        self._sign_on = pages.guard.people.saml_sign_on
        self._site = self._sign_on.site

    def routes(self) -> Iterable[Route]:
        """Return the routes of these pages."""

        async def receive(request: Request) -> Response:
            form = await read_form(request, MAX_RESPONSE_FORM)
            client = network_of(self._pages.facts(request).source_ip)
            return await in_saml_worker(client, self.receive, request, form or {})

        async def show_metadata(request: Request) -> Response:
            return self.show_metadata()

        yield self._pages.route("/saml/start", self.start, self.start)
        yield Route("/saml/acs", public(receive), methods=["POST"])
        yield Route("/saml/metadata", public(show_metadata))

    def start(self, visit: Visit, _: str) -> Response:
        """Go to the identity provider of the sign-on provider that the URL names."""
        self._check_site(visit)
        id, now = visit.request.query_params.get("provider", ""), self._guard.clock()
        try:
            request = self._site.request(self._guard.store, id, now)
        except AccessDenied as error:
            record_refusal(self._pages, visit.call, error.message)
            return refused(self._pages, visit)
        if visit.is_from_elsewhere:
            return ask_to_begin(self._pages, visit, "saml", id, request.url)
        attempt = SignOnAttempt("saml", id, request.id, "", "", visit.next, int(now.timestamp()))
        answer = redirect(request.url)
        answer.headers.append("set-cookie", start_cookie(self._guard.store.sealer, attempt, visit.call))
        return answer

    def receive(self, request: Request, form: Mapping[str, str]) -> Response:
        """Receive a response, and go on to where the cookies are sent, too."""
        call = self._pages.facts(request)
        visit = Visit(request, call, None, None)
        self._check_site(visit)
        receipt = self._sign_on.receive(form.get("SAMLResponse", ""))
        if receipt.token is None:
            record_refusal(self._pages, call, receipt.reason, account=receipt.account, provider=receipt.provider)
            return redirect(f"{visit.base}/continue")
        fields = {"pending": receipt.token, "next": safe_next(form.get("RelayState", ""))}
        answer = redirect(
            f"{visit.base}/continue?{urlencode({name: value for name, value in fields.items() if value})}"
        )
        answer.headers.append("set-cookie", received_cookie(call, receipt.token))
        return answer

    def show_metadata(self) -> Response:
        """Show the metadata of this site, for identity providers."""
        if not self._site.site_url:
            raise HTTPException(404)
        headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'"}
        return Response(self._site.metadata(), media_type="application/samlmetadata+xml", headers=headers)

    def _check_site(self, visit: Visit) -> None:
        """Raise `HTTPException` 404 at another address than that of the site, where browsers do not come back."""
        if not offers_sign_on(self._guard.settings, visit):
            raise HTTPException(404)
