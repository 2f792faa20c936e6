"""The page that a person gets in a browser instead of a problem document, where the sign-in pages are mounted."""

from __future__ import annotations

from iam_guard.administration.refused_visit import RefusedVisit
from iam_guard.console.languages import choose_language, texts
from iam_guard.console.pages import Pages
from iam_guard.console.visit import HEADERS


class RefusalPages:
    """Makes the pages with the templates of the sign-in pages, which are mounted at `base`."""

    def __init__(self, pages: Pages, base: str, language: str = "") -> None:
        self._templates = pages.templates
        self._base = base.rstrip("/")
        self._language = language

    def page(self, visit: RefusedVisit) -> tuple[tuple[tuple[str, str], ...], bytes]:
        """Return the headers and the page. It says nothing about the resource: a missing one gets the same page."""
        language = choose_language(visit.accept_language, self._language)
        text = texts(language)
        html = self._templates.get_template("refused.html").render(
            text=text,
            language=language,
            title=text[visit.reason],
            hint=text[f"{visit.reason}_hint"],
            request_id=visit.request_id,
            problem="",
            note="",
            base=self._base,
            is_signed_in=visit.is_signed_in,
            home=f"{self._base}/{'sessions' if visit.is_signed_in else ''}",
            wide=False,
            passkeys=None,
            provider_url="",
        )
        headers = {**HEADERS, "Vary": "Cookie, Accept, Accept-Language", "Content-Type": "text/html; charset=utf-8"}
        return tuple((name.lower(), value) for name, value in headers.items()), html.encode()
