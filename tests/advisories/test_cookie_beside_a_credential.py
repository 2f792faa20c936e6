"""Advisory: a session cookie beside another credential must not decide, and must not be asked when the other is bad.

Browsers add cookies to every request. If a bad signature fell through to the cookie, or the cookie to the signature,
a request would have another caller than its sender meant; with two callers, policies of the wrong one would apply.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from starlette.testclient import TestClient

from iam_guard import aws_api
from iam_guard.authn.tokens.session_cookie import COOKIE
from tests.signed_in import ADA, ADAS_KEY, HOST, RITA, SAME_ORIGIN, SignedIn, signed_in
from tests.tables import table

Sign = Callable[[str], tuple[str, Mapping[str, str]]]
URL = f"https://{HOST}/documents/7"


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SignedIn]:
    with signed_in(tmp_path, sign_in_url="/signin") as made:
        yield made


def _request(method: str) -> AWSRequest:
    return AWSRequest(method, URL, headers={"x-amz-content-sha256": hashlib.sha256(b"").hexdigest()})


def in_header(method: str) -> tuple[str, Mapping[str, str]]:
    request = _request(method)
    SigV4Auth(Credentials(*ADAS_KEY), "docs", "us-east-1").add_auth(request)
    return URL, dict(request.headers.items())


def in_query(method: str) -> tuple[str, Mapping[str, str]]:
    request = AWSRequest(method, URL)
    SigV4QueryAuth(Credentials(*ADAS_KEY), "docs", "us-east-1", expires=60).add_auth(request)
    return str(request.url), {}


@table("sign", [in_header, in_query])
def test_other_credential_decides_alone(sign: Sign, harness: SignedIn) -> None:
    """On a warm guard too, whichever cookie there is, for changes as well; the answer does not depend on cookies."""
    client = harness.client()
    for _ in range(3):
        for cookie in (harness.cookie, {"cookie": f"{COOKIE}=bad"}, {"cookie": f"{COOKIE}={'A' * 43}"}, {}):
            for method in ("GET", "PUT"):
                url, headers = sign(method)
                answer = client.request(method, url, headers={**headers, **cookie, "sec-fetch-site": "cross-site"})
                assert (answer.status_code, answer.json()) == (200, ADA)
                assert {"vary", "set-cookie"}.isdisjoint(answer.headers)


def test_cookie_does_not_replace_a_bad_credential(harness: SignedIn) -> None:
    """Each of these is refused as it is without a cookie, and never redirected."""
    _, signed = in_header("GET")
    bad: list[tuple[str, Mapping[str, str]]] = [
        (URL, {**signed, "Authorization": signed["Authorization"][:-4] + "0000"}),
        (URL, {"x-api-key": "igk_RITA_wrong"}),
        (URL, {"authorization": "Bearer a.b.c"}),
        (URL, {"authorization": "Basic cml0YTpyaXRh"}),
        (URL, {"authorization": ""}),
        (URL, {"x-amz-security-token": "x"}),
        (f"{URL}?X-Amz-Algorithm=AWS4-HMAC-SHA256", {}),
    ]
    client = harness.client()
    for url, headers in bad:
        for path in (urlsplit(url).path, "/"):
            target = url.replace("/documents/7", path)
            page = {"sec-fetch-mode": "navigate", **SAME_ORIGIN}
            plain = client.get(target, headers={**headers, **page})
            answer = client.get(target, headers={**headers, **page, **harness.cookie})
            assert answer.status_code == plain.status_code == 401, headers
            assert answer.json()["code"] == plain.json()["code"]
            assert {"vary", "set-cookie"}.isdisjoint(answer.headers)


def test_session_in_another_place_is_no_credential(harness: SignedIn) -> None:
    """The token of a cookie is neither a bearer token nor a parameter."""
    client = harness.client()
    for headers in ({"authorization": f"Bearer {harness.token}"}, {"x-api-key": harness.token}):
        assert client.get(URL, headers=headers).status_code == 401
    assert client.get(f"{URL}?{COOKIE}={harness.token}").status_code == 401
    assert client.get(URL, headers=harness.cookie).json() == RITA


def test_cookie_is_no_credential_of_the_aws_api(harness: SignedIn) -> None:
    """A form of another site could call it: its requests have a body of an ordinary form."""
    client = TestClient(aws_api(harness.guard), base_url=f"https://{HOST}")
    body = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
    answer = client.post("/", data=body, headers={**harness.cookie, **harness.csrf, **SAME_ORIGIN})
    assert answer.status_code == 403
    assert "MissingAuthenticationToken" in answer.text
