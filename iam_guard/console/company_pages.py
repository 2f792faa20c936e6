"""The page to sign in with a company's identity provider: `/signin/company`, also with the account in the link.

Its form is sent with GET, so a company can link to what follows it: `/signin/company?account=ALIAS&next=…`. With one
sign-on provider it goes on by the header `Refresh` instead of a redirect: the policy `form-action 'self'` of a form
holds for redirects, too. A browser that another site has sent here needs a click. An unknown account looks like one
without sign-on providers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode, urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from iam_guard.authn.people.pending_sign_ins import SignOnKind
from iam_guard.authn.people.sign_on.sign_on_providers import has_sign_on_libraries
from iam_guard.console.pages import Pages
from iam_guard.console.visit import Visit
from iam_guard.settings import Settings

MAX_ACCOUNT: Final = 63


def offers_sign_on(settings: Settings, visit: Visit) -> bool:
    """Return whether people can sign in with their company: at the configured site, with the extra `sign-on`.

    Identity providers send browsers back to that site only.
    """
    origin = f"{'https' if visit.call.secure else 'http'}://{visit.call.host}"
    return has_sign_on_libraries() and bool(settings.site_url) and origin == settings.site_url


class CompanyPages:
    """Choose the account, and its identity provider."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._providers = pages.guard.people.sign_on_providers

    def routes(self) -> Iterable[Route]:
        """Return the route of this page."""
        yield self._pages.route("/company", self.show, self.show)

    def show(self, visit: Visit, problem: str) -> Response:
        """Show the form for an account, or go on to its identity provider, or show its identity providers."""
        if not offers_sign_on(self._pages.guard.settings, visit):
            raise HTTPException(404)
        named = visit.request.query_params.get("account", "")[:MAX_ACCOUNT].strip()
        providers = self._providers.of_account(named) if named else ()
        if named and not providers:
            problem = "no_company"
        choices = [(provider.name, _start_url(visit, provider.kind, provider.id)) for provider in providers]
        typed = named or visit.remembered.get("account", "")
        answer = self._pages.page(visit, "company.html", "as_company", problem, choices=choices, typed=typed)
        if len(choices) == 1 and not visit.is_from_elsewhere:  # else a link would sign in without a click
            answer.headers["Refresh"] = f"0; url={choices[0][1]}"
        return answer


def ask_to_begin(pages: Pages, visit: Visit, kind: SignOnKind, id: str, url: str) -> Response:
    """Return the page that takes a click to begin a sign-on at a URL, in a browser that another site has sent here.

    A link of an attacker's site to the attacker's own provider would sign the browser in to the attacker's account.
    """
    host, start = urlsplit(url).hostname, _start_url(visit, kind, id)
    return pages.page(visit, "sign_on_start.html", "sign_in", "", host=host, start=start)


def _start_url(visit: Visit, kind: SignOnKind, id: str) -> str:
    to = {"next": visit.next} if visit.next else {}
    return f"{visit.base}/{kind}/start?{urlencode({'provider': id, **to})}"
