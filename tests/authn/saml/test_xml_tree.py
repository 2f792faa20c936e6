"""The XML of SAML messages: what the tree contains, and what is refused before or while it is parsed."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.authn.saml.xml_tree import (
    MAX_XML_ATTRIBUTES,
    MAX_XML_BYTES,
    MAX_XML_DEPTH,
    MAX_XML_ELEMENTS,
    parse_xml,
    shorten,
)
from iam_guard.errors import InvalidIdentityToken
from tests.tables import table


def test_tree_has_names_attributes_and_text() -> None:
    """Texts are unchanged, but for line ends and space between elements."""
    document = b"""<?xml version="1.0" encoding='utf-8' standalone="yes"?>
<p:a xmlns:p="urn:p" xmlns="urn:q" b=" 1\t2&#10;" p:b="&lt;">
  <c> x\r\n&amp;\xc3\xa9 </c><d xmlns="" /> </p:a>
"""
    parsed = parse_xml(document)
    assert parsed.content == document
    root = parsed.root
    assert (root.name, root.text) == ("{urn:p}a", "")
    assert root.attributes == {"b": " 1 2\n", "{urn:p}b": "<"}
    assert [(child.name, child.text) for child in root.children] == [("{urn:q}c", " x\n&é "), ("d", "")]


def test_element_finds_its_children() -> None:
    """`optional` refuses several, and `only` none too; `walk` is in document order."""
    root = parse_xml(b"<a><b><c/><d/></b><b/><e/></a>").root
    assert [element.name for element in root.walk()] == ["a", "b", "c", "d", "b", "e"]
    assert (len(root.named("b")), root.optional("c"), root.only("e").name) == (2, None, "e")
    with pytest.raises(InvalidIdentityToken, match="expected at most one b in a, got 2"):
        root.optional("b")
    with pytest.raises(InvalidIdentityToken, match="expected one c in a, got none"):
        root.only("c")


def test_messages_quote_one_short_line() -> None:
    """Neither line breaks nor escape sequences reach a log."""
    assert shorten("a\n\x1b[31mé\u2028" + "x" * 200) == "a??[31mé?" + "x" * 91


WELL_FORMED = "expected well-formed XML"
ID = "expected at most one ID"
REFUSED = [
    (b"", WELL_FORMED),
    (b"text", WELL_FORMED),
    (b"<a/><b/>", WELL_FORMED),
    (b"<a/>b", WELL_FORMED),
    (b"<a><b></a></b>", WELL_FORMED),
    (b"<a>\0</a>", WELL_FORMED),
    (b"<a>&#0;</a>", WELL_FORMED),
    (b"<a>&b;</a>", WELL_FORMED),
    (b"<a b='1' b='2'/>", WELL_FORMED),
    (b"<a>]]></a>", WELL_FORMED),
    (b"<p:a/>", "declared namespaces"),
    (b"<a p:b=''/>", "declared namespaces"),
    (b"<a xmlns:p=''/>", "declared namespaces"),
    (b"<a xmlns:xml='urn:x'/>", "declared namespaces"),
    (b"<a xmlns:p='urn:x' xmlns:q='urn:x' p:b='' q:b=''/>", "declared namespaces"),
    (b"<a xmlns:p='x'/>", "an absolute namespace, got `x`"),
    (b"<a><b xmlns='../x'/></a>", "an absolute namespace, got `../x`"),
    (b"<a><b xmlns='1:x'/></a>", "an absolute namespace, got `1:x`"),
    (b"<a>b<c/></a>", "text beside elements is not allowed, in a"),
    (b"<a><c/>\xc2\xa0</a>", "text beside elements is not allowed, in a"),
    (b"<a><!-- --></a>", "a comment is not allowed"),
    (b"<a/><!-- -->", "a comment is not allowed"),
    (b"<a><![CDATA[]]></a>", "a CDATA section is not allowed"),
    (b"<a><?b?></a>", "a processing instruction is not allowed"),
    (b"<?b?><a/>", "a processing instruction is not allowed"),
    (b"<?xml-stylesheet href='a'?><a/>", "a processing instruction is not allowed"),
    (b" <?xml version='1.0'?><a/>", "a processing instruction is not allowed"),
    (b"<?xml version='1.0'?><?xml version='1.0'?><a/>", "a processing instruction is not allowed"),
    (b"<!DOCTYPE a><a/>", "a document type is not allowed"),
    (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "a document type is not allowed"),
    (b"<?xml version='1.0'?><!DOCTYPE a><a/>", "a document type is not allowed"),
    (b"<?xml version='1.1'?><a/>", "expected a declaration of XML 1.0 in UTF-8"),
    (b"<?xml version='1.0' encoding='latin-1'?><a/>", "expected a declaration of XML 1.0 in UTF-8"),
    (b"<?xml version='1.0' encoding='UTF-16'?><a/>", "expected a declaration of XML 1.0 in UTF-8"),
    (b"<a>\xe9</a>", "expected XML in UTF-8"),
    ("<a/>".encode("utf-16"), "expected XML in UTF-8"),
    (b"<a>\xed\xa0\x80</a>", "expected XML in UTF-8"),
    (b"<a ID='1'><b ID='1'/></a>", "several elements have the ID `1`"),
    (b"<a ID='1'><b id='1'/></a>", "several elements have the ID `1`"),
    (b"<a ID='1' Id='2'/>", ID),
    (b"<a xmlns:p='urn:x' p:ID='1'/>", ID),
    (b"<a xml:id='a'/>", ID),
    (b"<a iD='1'/>", ID),
]


@table(("document", "reason"), REFUSED, ids=[row[0][:40].decode("latin-1") for row in REFUSED])
def test_ambiguous_document_is_refused(document: bytes, reason: str) -> None:
    """What two parsers could read differently, with the reason."""
    with pytest.raises(InvalidIdentityToken, match=reason):
        parse_xml(document)


def nested(levels: int) -> bytes:
    return b"<a>" * levels + b"</a>" * levels


def wide(elements: int) -> bytes:
    return b"<a>" + b"<b/>" * (elements - 1) + b"</a>"


def with_attributes(number: int) -> bytes:
    half = number // 2
    names = [f"a{index}=''" for index in range(half)] + [f"xmlns:a{index}='urn:x'" for index in range(number - half)]
    return f"<a {' '.join(names)}/>".encode()


@table(
    ("document", "most", "reason"),
    [
        (nested, MAX_XML_DEPTH, "nested too deeply"),
        (wide, MAX_XML_ELEMENTS, "too many elements"),
        (with_attributes, MAX_XML_ATTRIBUTES, "a has too many attributes"),
        (lambda length: b"<a>" + b"x" * (length - 7) + b"</a>", MAX_XML_BYTES, "at most 75000 bytes"),
    ],
)
def test_documents_have_limits(document: object, most: int, reason: str) -> None:
    """The largest is parsed; the parser stops at a larger one."""
    assert callable(document)
    assert parse_xml(document(most)).root.name == "a"
    with pytest.raises(InvalidIdentityToken, match=reason):
        parse_xml(document(most + 1))


@given(st.binary() | st.text(alphabet="<>a/='\" ID:&;!?-[]x\u0130").map(str.encode))
def test_any_bytes_are_parsed_or_refused(content: bytes) -> None:
    """With one kind of error only."""
    with suppress(InvalidIdentityToken):
        assert parse_xml(content).root.name
