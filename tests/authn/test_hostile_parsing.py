"""The cost of parsing unauthenticated requests: linear in their length and bounded, with unchanged results.

Costs are counted in calls (`sys.setprofile`), which do not depend on the machine's load.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import FrameType
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.api.protocol.form import read_fields
from iam_guard.authn.credential import claimed_credential, extract
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import NoCredential
from iam_guard.authn.signatures.percent_decoding import strictly_unescaped, unescaped
from iam_guard.authn.signatures.signed_query import MAX_PARAMETERS, MAX_TARGET, has_signature
from iam_guard.errors import CredentialError, IamGuardError, MalformedRequest, RequestTooLarge
from iam_guard.settings import Settings
from iam_guard.web import connection
from iam_guard.web.connection import MAX_HEADERS, MAX_PROXIES, Connection
from iam_guard.web.wsgi import environ
from iam_guard.web.wsgi.environ import scope_of

MAX_CALLS = 12_000
"""Maximum function calls, in C or Python, for a hostile request; each takes well under a tenth of a microsecond."""
SIGNED = b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0"
HEADER = "AWS4-HMAC-SHA256 Credential=AKIATEST/20260101/us-east-1/docs/aws4_request, SignedHeaders={}, Signature={}"


def calls_of(work: Callable[[], object]) -> int:
    """Return the number of calls that some work makes; an `IamGuardError` is a result."""
    count = 0

    def noting(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(noting)
    try:
        work()
    except IamGuardError:
        pass
    finally:
        sys.setprofile(before)
    return count


def request(*headers: tuple[bytes, bytes], path: bytes = b"/", query: bytes = b"") -> HttpRequest:
    return HttpRequest("GET", path, query, ((b"host", b"x"), *headers))


TEXTS = st.lists(
    st.sampled_from(
        [b"%", b"%4", b"%41", b"%e2%82%ac", b"=", b"\n", b"\r", b"a", b"F", b" ", b"\t", b"_", b"\xff", b"\0"]
    )
).map(b"".join)


@given(TEXTS)
def test_unescaped_equals_standard_library(text: bytes) -> None:
    """For every text, invalid escapes, line ends and null bytes included."""
    assert unescaped(text) == unquote_to_bytes(text)
    is_bad = re.search(rb"%(?![0-9a-fA-F]{2})", text) is not None
    assert strictly_unescaped(text) == (None if is_bad else unquote_to_bytes(text))


def test_hostile_requests_cost_few_calls(subtests: pytest.Subtests) -> None:
    """Parsing the credential, and its claim, in the shapes that once took milliseconds."""
    names = ";".join(f"a{number:05}" for number in range(9_000))
    requests = {
        "presigned, pairs": request(query=SIGNED + b"&a" * 30_000),
        "presigned, escapes": request(query=SIGNED + b"&x=" + b"%41" * 20_000),
        "presigned, bad escapes": request(query=SIGNED + b"&x=" + b"%" * 60_000),
        "presigned, escaped ampersands": request(query=SIGNED + b"%26a" * 15_000),
        "presigned, at the limit": request(query=SIGNED + b"&%41=%42" * (MAX_PARAMETERS - 2)),
        "marks everywhere": request(query=b"x-amz-signatur&" * 4_000),
        "long list of headers": request((b"authorization", HEADER.format(names, "0" * 64).encode())),
        "commas": request((b"authorization", b"AWS4-HMAC-SHA256 " + b"a=b," * 15_000)),
        "dots": request((b"authorization", b"Bearer " + b"." * 60_000)),
        "long API key": request((b"x-api-key", b"igk_" + b"a" * 60_000)),
        "long session token": request((b"x-amz-security-token", b"a" * 60_000)),
        "signed, long query": request(
            (b"authorization", HEADER.format("host", "0" * 64).encode()), query=b"a&" * 30_000
        ),
    }
    for name, hostile in requests.items():
        with subtests.test(name):
            assert calls_of(lambda hostile=hostile: extract(hostile, max_header=65_536)) < MAX_CALLS
            assert calls_of(lambda hostile=hostile: claimed_credential(hostile)) < MAX_CALLS


def test_signed_target_over_the_limit_is_refused(subtests: pytest.Subtests) -> None:
    """In bytes or parameters, signed in the query or in the header; unsigned ones pass."""
    long, many = b"a" * MAX_TARGET, b"&a" * MAX_PARAMETERS
    header = (b"authorization", HEADER.format("host", "0" * 64).encode()), (b"x-amz-date", b"20260101T000000Z")
    for name, hostile in {
        "presigned, long": request(query=SIGNED + b"&x=" + long),
        "presigned, many": request(query=SIGNED + many),
        "presigned, escaped names, long": request(query=b"%58-amz-signature=0&x=" + long),
        "signed, long query": request(*header, query=long),
        "signed, long path": request(*header, path=b"/" + long),
        "signed, many": request(*header, query=many),
    }.items():
        with subtests.test(name), pytest.raises(RequestTooLarge):
            extract(hostile, max_header=65_536)
    for query in (long, many, b"note=about+x-amz-signature&" + long, b"x-amz-signature-of=1&" + long):
        assert not has_signature(query)
        assert isinstance(extract(request(query=query), max_header=65_536), NoCredential)


def test_long_signature_header_is_refused() -> None:
    """For every scheme but Bearer, whose tokens are long."""
    with pytest.raises(CredentialError, match="at most 8192 bytes"):
        extract(request((b"authorization", b"Basic " + b"a" * 9_000)), max_header=65_536)
    with pytest.raises(CredentialError, match="security token"):
        extract(request((b"authorization", b"Bearer " + b"a" * 9_000)), max_header=65_536)


def test_form_of_escapes_costs_calls_by_field() -> None:
    """Not by escape: fifteen megabytes of them took seconds."""
    assert calls_of(lambda: read_fields(b"x=" + b"%41" * 100_000)) < 60


# --- the connection --------------------------------------------------------------------------------------------------

PROXY = Connection(Settings(trusted_proxies=("10.0.0.0/8",)))


def scope(*headers: tuple[bytes, bytes], path: bytes = b"/") -> dict[str, object]:
    return {
        "type": "http",
        "method": "GET",
        "path": path.decode("latin-1"),
        "raw_path": path,
        "query_string": b"",
        "headers": [(b"host", b"x"), *headers],
        "client": ("10.0.0.1", 1),
    }


def test_forwarding_chain_is_read_to_its_limit() -> None:
    """Beyond it the caller's address is unknown; an invalid address ends the search."""
    proxies = ", ".join(["10.0.0.2"] * (MAX_PROXIES - 1))
    near = scope((b"x-forwarded-for", f"1.2.3.4, {proxies}".encode()))
    assert PROXY.facts(near).source_ip == "1.2.3.4"
    far = scope((b"x-forwarded-for", f"1.2.3.4, 10.0.0.2, {proxies}".encode()))
    assert PROXY.facts(far).source_ip is None
    for chain in (b"10.0.0.2," * 7_000 + b"10.0.0.2", b"," * 60_000, b"1" * 60_000, b"[" + b":" * 60_000 + b"]"):
        assert calls_of(lambda chain=chain: PROXY.facts(scope((b"x-forwarded-for", chain)))) < 2_000


def test_many_headers_are_refused_unread() -> None:
    """The facts of the call come from the first of them."""
    many = scope(*[(b"a%d" % number, b"") for number in range(13_000)])
    assert calls_of(lambda: PROXY.facts(many)) < 100
    with pytest.raises(RequestTooLarge, match=f"at most {MAX_HEADERS} headers"):
        PROXY.request(many)


def test_long_path_costs_few_calls() -> None:
    """Escapes are decoded in some pieces; invalid ones are refused."""
    assert calls_of(lambda: PROXY.request(scope(path=b"/" + b"%41" * 20_000))) < 300
    with pytest.raises(MalformedRequest, match="percent-encoded path"):
        PROXY.request(scope(path=b"/" + b"%" * 60_000))


def test_long_texts_are_not_cached() -> None:
    """Clients could fill the caches: four thousand addresses of 60 KB each."""
    address, name = connection._read_address.cache_info, environ._header_of.cache_info
    PROXY.facts(scope())  # the peer's own address is kept
    before = address().currsize, name().currsize
    PROXY.facts(scope((b"x-forwarded-for", b"1" * 60_000)))
    scope_of({"HTTP_" + "A" * 60_000: "x"})
    assert (address().currsize, name().currsize) == before
