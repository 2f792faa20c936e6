"""The steps of a guarded request that wait, in a synchronous application: for the WSGI middleware, and for adapters.

`GuardWsgiMiddleware` serves every WSGI framework. An adapter for a framework with its own request objects calls the
steps itself: `WsgiBridge.begin`, `GuardedSyncRequest.read` and `authenticate`, then the application inside of
`serving(call)`, then `leave` before the response is sent. `refuse` answers errors, and `end` ends the call.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from functools import partial

from iam_guard.authn.certificates.client_certificate import TLS
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import AnyCredential, SigV4Credential
from iam_guard.errors import ConfigurationError
from iam_guard.guard.guard import Guard
from iam_guard.settings import Settings
from iam_guard.web.body_budget import MAX_UNVERIFIED
from iam_guard.web.call_context import CurrentCall
from iam_guard.web.guarded_request import Bridge, GuardedRequest
from iam_guard.web.key_lookups import look_up_sync
from iam_guard.web.refusal import RefusalFormat, problem
from iam_guard.web.request_credentials import caller_lookup, reading_credential
from iam_guard.web.wsgi.body import read_body
from iam_guard.web.wsgi.environ import Environ, Scope


class WsgiBridge(Bridge):
    """Creates guarded requests; shared between threads.

    `drops_underscores` states that the server drops headers with an underscore in their names; it is required if the
    settings trust headers of proxies, and raises `ConfigurationError` otherwise.
    """

    def __init__(self, guard: Guard, *, refusal: RefusalFormat = problem, drops_underscores: bool = False) -> None:
        if not drops_underscores and _trusts_proxy_headers(guard.settings):
            message = (
                "headers of proxies are trusted, and WSGI does not distinguish `X-Forwarded-For` and `X_Forwarded_For`:"
                " set `drops_underscores=True` if the server drops the second, as gunicorn, waitress and mod_wsgi do"
            )
            raise ConfigurationError(message, place="drops_underscores")
        super().__init__(guard, refusal=refusal)

    def begin(self, scope: Scope) -> GuardedSyncRequest:
        """Return the steps for a request; `scope` is an ASGI scope, or the result of `scope_of`."""
        return GuardedSyncRequest(self, scope)


class GuardedSyncRequest(GuardedRequest):
    """The steps of one request."""

    _environ: Environ | None = None
    _read: tuple[HttpRequest, AnyCredential] | None = None

    def read(self, environ: Environ) -> bool:
        """Read the credential, and the body if it is covered; return whether the body was replaced in the environ.

        The environ then has a new `wsgi.input`, and the headers of the decoded content. Raises errors about the request
        itself; all of them are recorded.
        """
        guard, content, self._environ = self.bridge.guard, None, environ
        with reading_credential(guard, self.bridge.connection, self.scope, self.facts) as (request, credential):
            self._read = request, credential
            if isinstance(credential, SigV4Credential):
                precheck = partial(self._precheck, request, credential)
                content = self.body = read_body(request, credential, environ, guard.settings, precheck)
        if content is None:
            return False
        content.install_in(environ)
        return True

    def may_block(self, environ: Environ) -> bool:
        """Return whether `read` may hash a large body or look up a key, and so must not run on an event loop."""
        length = environ.get("CONTENT_LENGTH") or "0"
        return "HTTP_TRANSFER_ENCODING" in environ or not length.isdecimal() or int(length) > MAX_UNVERIFIED

    def authenticate(self, *, cache_only: bool = False) -> CurrentCall:
        """Authenticate the caller, and return the call for `serving`. Raises what `Guard.authenticate` raises.

        With `cache_only`, that is `CacheMiss` if the store or another service would have to be queried.
        """
        if self._read is None or self._environ is None:
            raise ConfigurationError("expected `read` before `authenticate`")
        lookup = caller_lookup(self.bridge.guard, *self._read, self.facts, self.body)
        call = self.admit(lookup.run(cache_only=cache_only))
        if call.principal.credential is not None and call.principal.credential.host is not None:
            self._environ["HTTP_HOST"] = call.principal.credential.host
            self._environ.pop("HTTP_X_FORWARDED_HOST", None)
        return call

    def _precheck(self, request: HttpRequest, credential: SigV4Credential, stated: str | None) -> None:
        precheck = partial(self.bridge.guard.authenticators.precheck, request, credential, stated)
        look_up_sync(precheck, partial(self.bridge.guard.authenticators.has_seen, credential))

    def add_headers(self, headers: MutableMapping[str, str], cookies: Iterable[str] = ()) -> None:
        """Add the headers of `added_headers` to those of a response, which sets the cookies with these names."""
        answered = [("set-cookie", f"{name}=") for name in cookies]
        for name, value in self.added_headers([*headers.items(), *answered]):
            headers[name] = f"{headers[name]}, {value}" if name == "vary" and name in headers else value


def _trusts_proxy_headers(settings: Settings) -> bool:
    return bool(settings.trusted_proxies) or any(
        client_certificate != TLS for client_certificate in settings.client_certificates
    )
