"""Attack strings against SQL, XML, JSON, paths, logs and patterns, from public lists."""

from __future__ import annotations

import base64

from hypothesis import strategies as st

from tests.api.conftest import OTHER_ACCOUNT

SQL = [
    "'",
    '"',
    "' OR '1'='1",
    '" OR ""="',
    "'; DROP TABLE identities; --",
    "'); DELETE FROM policies; --",
    "x' UNION SELECT id, sealed FROM access_keys --",
    "1; PRAGMA writable_schema=1",
    "admin'--",
    "\\' OR 1=1 --",
    "%' AND '%'='",
    "_%",
    ":account",
    "?1",
    "%(id)s",
    "%s%s%n",
    "$1",
    "E'\\x27'",
    "0x27",
    "`; SHUTDOWN; `",
    "/**/OR/**/1",
]
XML = [
    "<script>alert(1)</script>",
    "]]></Message><Code>Success</Code>",
    "</UserName><UserName>admin",
    '"><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hosts">]>&e;',
    "&amp;&lt;&#0;&#x0;&e;",
    "<![CDATA[x]]>",
    "<?xml version='1.0'?>",
    "<!--",
    "&lt;UserName&gt;",
]
JSON = [
    '{"a": "b"}',
    '"}],"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}',
    "\\u0000\\ud800",
    '{"$ne": null}',
    "[" * 2000,
    '{"Version":"2012-10-17","Statement":' + "[" * 500 + "]" * 500 + "}",
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}',
    '{"Version":"2012-10-17","Version":"2008-10-17","Statement":[]}',
    "1e999999",
    "9" * 5000,
]
PATHS = [
    "../../etc/passwd",
    "/../",
    "//",
    "/a//b/",
    "..%2f..%2f",
    "/./",
    "C:\\x",
    "/\\/",
    "file:///etc/passwd",
    "~root",
]
OTHERS = [
    "*)(uid=*))(|(uid=*",
    "$" + "{jndi:ldap://x/a}",
    "{{7*7}}",
    "$" + "{aws:username}",
    "$" + "{*}",
    "*",
    "?",
    "a&Action=DeleteUser&UserName=given",
    "Tags.member.1.Key=x",
    "x\r\nSet-Cookie: a=b",
    "x\nINFO 2026 all is well",
    "\ttab\nline\rreturn ",
    "; cat /etc/passwd |",
    "$(id)",
    "=cmd|'/C calc'!A0",
    "%00",
    "%26%3D%2500",
    "null",
    "None",
    "NaN",
    "true",
    "-1",
    "2147483648",
    "9223372036854775808",
    "1.5",
    "",
    " ",
    ".",
    "-",
    "aws:x",
    "AWS:",
    "constructor",
    "__proto__",
]
UNICODE = [
    "\0",
    "given\0",
    "\u202egiven\u202c",
    "\u200bgiven",
    "\ufeffgiven",
    "ﬁ",
    "İ",
    "ß",
    "GIVEN",
    "gi\u0301ven",
    "\u2028",
    "\x85",
    "\x7f",
    "\x1b[31m",
    "\ufffe\uffff",
    "\U0010ffff",
    "\U0001f600" * 40,
    "日本語" * 60,
    "Ω" * 1000,
]
LONG = ["x" * 129, "x" * 600, "x" * 70_000, "/" + "a/" * 300, "'" * 3000, "%" * 3000, "&" * 3000, "a+a" * 1000]
THEIRS = f"arn:aws:iam::{OTHER_ACCOUNT}:"
ARNS = [
    f"{THEIRS}user/member",
    f"{THEIRS}policy/theirs",
    f"{THEIRS}role/theirs",
    f"{THEIRS}root",
    "arn:aws:iam::aws:policy/AdministratorAccess",
    "arn:aws:iam::111122223333:policy/team/../given",
    "arn:aws:iam::111122223333:policy/team/given/",
    "ARN:AWS:IAM::111122223333:policy/team/given",
    "arn:aws:iam::111122223333:policy/team/given\n",
    "arn:aws:iam::111122223333:policy/team/given' OR '1'='1",
    "arn:aws:iam::*:policy/*",
    "arn:aws:iam:::policy/team/given",
    "arn:aws:iam::111122223333:policy",
    "arn:aws:iam::111122223333:",
    "arn:aws:iam::111122223333:user/team/given:x",
    "arn:::::",
    "arn:" * 40,
    "a" * 20 + ":" * 5,
    "arn:aws-cn:iam::111122223333:policy/team/given",
]


def encoded(text: str) -> str:
    """Encode a text as a pagination marker."""
    return base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")


MARKERS = [
    encoded(text)
    for text in (
        "[]",
        "[1]",
        "[null]",
        '[["a"]]',
        '{"a":1}',
        '"admin"',
        "[" * 200,
        "1e999",
        "NaN",
        "\0",
    )
]
FORGED_MARKERS = [
    encoded(text)
    for text in (
        '["admin"]',
        '["x","y"]',
        '["x","y","z"]',
        '["\\ud800"]',
        '["\\u0000"]',
        "[\"' OR '1'='1\"]",
    )
]
"""Encoded like markers, but not issued by the API."""
ATTACKS = [*SQL, *XML, *JSON, *PATHS, *OTHERS, *UNICODE, *LONG, *ARNS, *MARKERS, *FORGED_MARKERS]
PIECES = [each for each in [*SQL, *XML, *PATHS, *OTHERS, *UNICODE, *ARNS] if len(each) < 100]
SENDABLE = st.characters(exclude_categories=["Cs"])
"""Characters that UTF-8 can carry: all but surrogates."""
TEXTS = (
    st.text(SENDABLE, max_size=40)
    | st.lists(st.sampled_from(PIECES) | st.text(SENDABLE, max_size=3), max_size=5).map("".join)
    | st.text(st.sampled_from("'\"<>&%\\/*?${}[]();:=+, \t\r\n\0\u202e\x85é日a"), max_size=30)
    | st.integers(100, 3000).map(lambda size: "q" * size)
)
