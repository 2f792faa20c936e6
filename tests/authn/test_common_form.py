"""The common form of the header, parsed with one match, must have the same result as parsing part by part."""

from __future__ import annotations

import re
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.authn.credential import extract
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import SigV4Credential
from iam_guard.authn.signatures import signed_header
from iam_guard.errors import CredentialError
from tests.authn.signing import send, sign
from tests.tables import table

SIGNATURE = "0123456789abcdef" * 4
CREDENTIAL = "Credential=AKIDEXAMPLE/20261124/us-east-1/docs/aws4_request"
SIGNED_HEADERS = "SignedHeaders=host;x-amz-date"
GOOD = f"AWS4-HMAC-SHA256 {CREDENTIAL}, {SIGNED_HEADERS}, Signature={SIGNATURE}"
STAMP = "20261124T000000Z"

COMMON_PARTS = [
    ("AWS4-HMAC-SHA256", ["AWS4-HMAC-SHA512", " AWS4-HMAC-SHA256"]),
    (" ", ["\t", "  "]),
    (CREDENTIAL, [CREDENTIAL.replace("docs", ""), CREDENTIAL.replace("AKIDEXAMPLE", "A_"), CREDENTIAL + " "]),
    (", ", [",", ",\t", " , "]),
    (
        SIGNED_HEADERS,
        ["SignedHeaders=Host", "SignedHeaders=b;a", "SignedHeaders=a=b", "SignedHeaders=é", SIGNED_HEADERS + " "],
    ),
    (", ", [",", ",\t", " , "]),
    (
        f"Signature={SIGNATURE}",
        [f"Signature={SIGNATURE.upper()}", f"Signature={SIGNATURE}0", f"Signature={SIGNATURE}\n"],
    ),
]
nearly_common = st.tuples(*[st.just(part) | st.sampled_from([part, *others]) for part, others in COMMON_PARTS]).map(
    "".join
)
one_more = st.tuples(nearly_common, st.sampled_from([*" ,;=/a0\t\n\x7fé"]), st.integers(0, 230)).map(
    lambda drawn: drawn[0][: drawn[2]] + drawn[1] + drawn[0][drawn[2] :]
)


def outcome(text: str, name: str = "x-amz-date", stamp: str = STAMP) -> object:
    """Return the credential of a request with this Authorization and one further header, or the error."""
    headers = ((b"authorization", text.encode()), (name.encode(), stamp.encode()))
    try:
        return extract(HttpRequest("GET", b"/", b"", headers), max_header=64 * 1024)
    except CredentialError as error:
        return type(error), str(error)


def part_by_part(text: str, name: str = "x-amz-date", stamp: str = STAMP) -> object:
    """Return the same without the pattern of the common form."""
    with mock.patch.object(signed_header, "_COMMON_FORM", re.compile("(?!)")):
        return outcome(text, name, stamp)


@settings(max_examples=500)
@given(
    nearly_common | one_more,
    st.sampled_from(["x-amz-date", "date", "x-other"]),
    st.sampled_from(["20261124T000000Z", " 20261124T000000Z ", "20261124T006000Z", "Tue, 24 Nov 2026 10:00:00 GMT"]),
)
def test_common_form_is_parsed_as_other_forms(text: str, name: str, stamp: str) -> None:
    """The SDKs' form is parsed with one match and has the same result as part by part."""
    assert outcome(text, name, stamp) == part_by_part(text, name, stamp)


@table(
    "text",
    [
        GOOD,
        GOOD.replace("host", "host "),
        GOOD.replace("host", "host,"),
        GOOD.replace("host", "h=o=st"),
        GOOD.replace("host", "ho\x7fst"),
        GOOD.replace("host;x-amz-date", "x-amz-date;host"),
        GOOD.replace("host;x-amz-date", "a b;host;x-amz-date"),
        GOOD.replace("host;x-amz-date", "host;x-amz-date "),
    ],
)
def test_signed_headers_are_parsed_alike_in_both_ways(text: str) -> None:
    """A space is not part of a name, and a comma ends the list."""
    assert outcome(text) == part_by_part(text)


def test_botocore_writes_the_common_form() -> None:
    """So it is parsed with one match."""
    request = send(sign("PUT", headers=[("X-Custom", "a"), ("X-Amz-Target", "Docs.Put")], body=b"x")).request
    with mock.patch.object(signed_header, "_key_value_pairs", side_effect=AssertionError):
        assert isinstance(extract(request, max_header=64 * 1024), SigV4Credential)
