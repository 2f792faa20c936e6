"""Read the credential of a request, and find its caller, for every framework; record what is rejected at this stage.

Reading does not wait. Finding the caller may: it verifies a signature, and looks up a key or a session. A
`CallerLookup` describes that, and runs in an asynchronous or a synchronous framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from iam_guard.authn.credential import claimed_credential, extract
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import AnyCredential, Claim, NoCredential, SigV4Credential, claim_of
from iam_guard.authn.signatures.canonical import refuse_dot_segments
from iam_guard.errors import IamGuardError, ServerBusy
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.web.body_verification import SignedBody, empty_hash
from iam_guard.web.browser.browser_caller import BrowserCaller, browser_caller, session_cookie
from iam_guard.web.connection import Connection
from iam_guard.web.key_lookups import look_up_async, look_up_sync

C = TypeVar("C", bound=Principal | BrowserCaller, covariant=True)


@contextmanager
def reading_credential(
    guard: Guard, connection: Connection, scope: Mapping[str, Any], facts: Call
) -> Iterator[tuple[HttpRequest, AnyCredential]]:
    """Enter the request and its credential; record errors that are raised here, and inside while the body is read.

    Raises what `Connection.request`, `extract` and `refuse_dot_segments` raise.
    """
    request: HttpRequest | None = None
    try:
        request = connection.request(scope)
        credential = extract(request, max_header=guard.settings.max_header)
        if isinstance(credential, SigV4Credential):
            refuse_dot_segments(request, credential)
        yield request, credential
    except IamGuardError as error:
        claim = Claim("unknown", None) if request is None else claimed_credential(request)
        guard.trail.record_authentication(error, facts, *claim)
        raise


@dataclass(frozen=True, slots=True)
class CallerLookup(Generic[C]):
    """Finds the caller of a request. Raises what `Guard.authenticate` and `browser_caller` raise, which is recorded."""

    guard: Guard
    facts: Call
    claim: Claim
    work: Callable[..., C]
    """With `cache_only`, it raises `CacheMiss` if the store or another service must be queried."""
    is_known: Callable[[], bool] | None = None
    """Whether the key was verified before, so that the lookup needs no slot (`key_lookups`)."""

    async def run_async(self) -> C:
        """Return the caller; use a worker thread if the store must be queried. Raises `ServerBusy`, too."""
        with self._recording_busy():
            return await look_up_async(self.work, self.is_known)

    def run(self, *, cache_only: bool = False) -> C:
        """Return the caller; wait for the store in this thread, or raise `CacheMiss`. Raises `ServerBusy`, too."""
        if cache_only:
            return self.work(cache_only=True)
        with self._recording_busy():
            return look_up_sync(self.work, self.is_known)

    @contextmanager
    def _recording_busy(self) -> Iterator[None]:
        try:
            yield
        except ServerBusy as error:
            self.guard.trail.record_authentication(error, self.facts, *self.claim)
            raise


def principal_lookup(
    guard: Guard,
    request: HttpRequest,
    credential: AnyCredential,
    facts: Call,
    body: SignedBody | None = None,
    *,
    any_scope: bool = False,
) -> CallerLookup[Principal]:
    """Return the lookup of the principal with a credential; the signature may cover `body`."""
    authenticate = partial(
        guard.authenticate,
        request,
        payload_hash=empty_hash if body is None else body.hash,
        call=facts,
        credential=credential,
        unsigned_payload=body is not None and body.is_unsigned,
        chunks=None if body is None else body.chunks,
        any_scope=any_scope,
    )
    return CallerLookup(
        guard, facts, claim_of(credential), authenticate, partial(guard.authenticators.has_seen, credential)
    )


def caller_lookup(
    guard: Guard, request: HttpRequest, credential: AnyCredential, facts: Call, body: SignedBody | None
) -> CallerLookup[Principal | BrowserCaller]:
    """Return the lookup of the caller: of the session cookie, if the request has one and no other credential."""
    cookie = session_cookie(request, facts) if isinstance(credential, NoCredential) else None
    if cookie is None:
        return principal_lookup(guard, request, credential, facts, body)
    return CallerLookup(guard, facts, Claim("session", None), partial(browser_caller, guard, request, cookie, facts))
