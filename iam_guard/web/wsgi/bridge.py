"""The steps of a guarded request in a synchronous application, for the WSGI middleware and for adapters.

`GuardWsgiMiddleware` serves every WSGI framework. An adapter for a framework with its own request objects calls the
steps itself: `WsgiBridge.begin`, `GuardedRequest.read`, `GuardedRequest.authenticate`, then the application inside of
`serving(call)`, then `GuardedRequest.leave` before the response is sent. `GuardedRequest.refuse` answers errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from functools import partial
from typing import TypeVar

from iam_guard.authn.certificates.client_certificate import TLS
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import AnyCredential, NoCredential, SigV4Credential, claim_of
from iam_guard.errors import CacheMiss, ConfigurationError, IamGuardError, ServerBusy
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.web.body_budget import MAX_UNVERIFIED
from iam_guard.web.body_verification import empty_hash
from iam_guard.web.browser.browser_caller import BrowserCaller, browser_caller_sync, session_cookie
from iam_guard.web.call_context import CurrentCall
from iam_guard.web.connection import Connection, headers_at_host
from iam_guard.web.guarded_answer import GuardedAnswer
from iam_guard.web.key_lookups import look_up_sync
from iam_guard.web.refusal import RefusalFormat, problem
from iam_guard.web.request_credentials import reading_credential
from iam_guard.web.wsgi.body import RequestBody, read_body
from iam_guard.web.wsgi.environ import Environ, Scope

T = TypeVar("T")


class WsgiBridge:
    """Creates guarded requests; created once, and shared between threads.

    `refusal` formats error responses. `drops_underscores` states that the server drops headers with an underscore in
    their names; it is required if the settings trust headers of proxies, and raises `ConfigurationError` otherwise.
    """

    def __init__(self, guard: Guard, *, refusal: RefusalFormat = problem, drops_underscores: bool = False) -> None:
        if not drops_underscores and _trusts_proxy_headers(guard.settings):
            message = (
                "headers of proxies are trusted, and WSGI does not distinguish `X-Forwarded-For` and `X_Forwarded_For`:"
                " set `drops_underscores=True` if the server drops the second, as gunicorn, waitress and mod_wsgi do"
            )
            raise ConfigurationError(message, place="drops_underscores")
        self.guard = guard
        self._refusal = refusal
        self._connection = Connection(guard.settings)

    def begin(self, scope: Scope) -> GuardedRequest:
        """Return the steps for a request; `scope` is an ASGI scope, or the result of `scope_of`."""
        return GuardedRequest(self.guard, self._connection, self._refusal, scope)


class GuardedRequest(GuardedAnswer):
    """The steps of one request."""

    def __init__(self, guard: Guard, connection: Connection, refusal: RefusalFormat, scope: Scope) -> None:
        super().__init__(guard, connection, refusal, scope)
        self._environ: Environ = {}
        self._request: HttpRequest | None = None
        self._credential: AnyCredential | None = None
        self._content: RequestBody | None = None

    def read(self, environ: Environ) -> bool:
        """Read the credential, and the body if it is covered; return whether the body was replaced in the environ.

        The environ then has a new `wsgi.input`, and the headers of the decoded content. Raises errors about the request
        itself; all of them are recorded.
        """
        self._environ = environ
        with reading_credential(self._guard, self._connection, self._scope, self.facts) as (request, credential):
            self._request, self._credential = request, credential
            if isinstance(credential, SigV4Credential):
                precheck = partial(self._precheck, request, credential)
                self._content = read_body(request, credential, environ, self._guard.settings, precheck)
        if self._content is None:
            return False
        self._content.install_in(environ)
        return True

    def may_block(self, environ: Environ) -> bool:
        """Return whether `read` may hash a large body or look up a key, and so must not run on an event loop."""
        length = environ.get("CONTENT_LENGTH") or "0"
        return "HTTP_TRANSFER_ENCODING" in environ or not length.isdecimal() or int(length) > MAX_UNVERIFIED

    def authenticate(self, *, cache_only: bool = False) -> CurrentCall:
        """Authenticate the caller, and return the call for `serving`. Raises what `Guard.authenticate` raises.

        With `cache_only`, that is `CacheMiss` if the store or another service would have to be queried.
        """
        browser = self._browser(cache_only)
        principal = self._principal(cache_only) if browser is None else browser.principal
        if principal.credential is not None and principal.credential.host is not None:
            self._use_host(principal.credential.host)
        is_unsigned = self._content is not None and self._content.is_unsigned
        self._call = CurrentCall(self._guard, principal, self.facts, self._scope, has_unsigned_payload=is_unsigned)
        if browser is not None:
            self._call.browser = browser
        return self._call

    def _use_host(self, host: str) -> None:
        """Replace the host in the environ and the scope by the signed one."""
        self._environ["HTTP_HOST"] = host
        self._environ.pop("HTTP_X_FORWARDED_HOST", None)
        self._scope["headers"] = headers_at_host(self._scope["headers"], host)
        self.facts = self.facts._replace(host=host)

    def _precheck(self, request: HttpRequest, credential: SigV4Credential, stated: str | None) -> None:
        self._run_lookup(credential, partial(self._guard.precheck, request, credential, stated))

    def _browser(self, cache_only: bool) -> BrowserCaller | None:
        """Return what the session cookie establishes; None without one, or if there is another credential."""
        request = self._request
        if request is None or not isinstance(self._credential, NoCredential):
            return None
        cookie = session_cookie(request, self.facts)
        if cookie is None:
            return None
        return browser_caller_sync(self._guard, request, cookie, self.facts, cache_only=cache_only)

    def _principal(self, cache_only: bool) -> Principal:
        if self._request is None or self._credential is None:
            raise ConfigurationError("expected `read` before `authenticate`")
        content = self._content
        authenticate = partial(
            self._guard.authenticate,
            self._request,
            call=self.facts,
            credential=self._credential,
            payload_hash=empty_hash if content is None else content.hash,
            unsigned_payload=content is not None and content.is_unsigned,
            chunks=None if content is None else content.chunks,
        )
        if cache_only:
            return authenticate(cache_only=True)
        try:
            return self._run_lookup(self._credential, authenticate)
        except ServerBusy as error:
            self._guard.trail.record_authentication(error, self.facts, *claim_of(self._credential))
            raise

    def _run_lookup(self, credential: AnyCredential, work: Callable[..., T]) -> T:
        """Call `work`; lookups of unknown keys are limited."""
        if self._guard.has_seen(credential):
            return work()
        try:
            return work(cache_only=True)
        except CacheMiss:
            return look_up_sync(work)

    def add_headers(self, headers: MutableMapping[str, str], cookies: Iterable[str] = ()) -> None:
        """Add the headers of `added_headers` to those of a response, which sets the cookies with these names."""
        answered = [("set-cookie", f"{name}=") for name in cookies]
        for name, value in self.added_headers([*headers.items(), *answered]):
            headers[name] = f"{headers[name]}, {value}" if name == "vary" and name in headers else value

    def end(self) -> None:
        """End the call after the response; code that the application runs later, as in a task, has no caller."""
        if self._call is not None:
            self._call.is_over = True
        if self._content is not None and self._content.reservation is not None:
            self._content.reservation.release()

    @property
    def _body_refusal(self) -> IamGuardError | None:
        return None if self._content is None else self._content.refusal


def _trusts_proxy_headers(settings: Settings) -> bool:
    return bool(settings.trusted_proxies) or any(
        client_certificate != TLS for client_certificate in settings.client_certificates
    )
