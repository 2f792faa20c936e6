"""Parse XML that an unauthenticated client sent, into an immutable tree.

What reads the same document in two ways is refused: comments, processing instructions, CDATA sections, document types
(hence entities), encodings other than UTF-8, undeclared or relative namespaces, text beside elements, and attributes
spelled `id` that are not unique. lxml reports elements to `_TreeBuilder`, which stops the parser at the first limit
exceeded, so no document takes long.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from iam_guard.errors import InvalidIdentityToken
from iam_guard.imports import requires_extra

if TYPE_CHECKING:
    from lxml import etree

MAX_XML_BYTES: Final = 75_000
MAX_XML_ELEMENTS: Final = 2_500
MAX_XML_DEPTH: Final = 32
MAX_XML_ATTRIBUTES: Final = 32
"""Attributes and namespace declarations of an element."""

_DECLARATION: Final = re.compile(
    r"""<\?xml\s+version=(["'])1\.0\1(?:\s+encoding=(["'])[Uu][Tt][Ff]-8\2)?(?:\s+standalone=(["'])(?:yes|no)\3)?\s*\?>"""
)
_NOT_ALLOWED: Final = re.compile(r"<!\[CDATA\[|<!--|<!|<\?")
"""In well-formed XML, these characters occur nowhere but at the start of what they introduce."""
_REASONS: Final = {
    "<![CDATA[": "a CDATA section is not allowed",
    "<!--": "a comment is not allowed",
    "<!": "a document type is not allowed",
    "<?": "a processing instruction is not allowed",
}
_NAMESPACE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}:.{1,200}")
"""A canonical form repeats namespaces, so a long one would make it grow quadratically."""
_ID_NAMES: Final = frozenset({"ID", "Id", "id"})
_SPACE: Final = " \t\r\n"


@dataclass(frozen=True, slots=True)
class XmlElement:
    """An element. Names are `{namespace}name`; text is unchanged, and empty if there are children."""

    name: str
    attributes: Mapping[str, str] = field(repr=False)
    children: tuple[XmlElement, ...] = field(repr=False)
    text: str = field(repr=False)

    def walk(self) -> Iterator[XmlElement]:
        """Iterate over this element and all below it, in document order."""
        pending = [self]
        while pending:
            element = pending.pop()
            yield element
            pending.extend(reversed(element.children))

    def named(self, name: str) -> list[XmlElement]:
        """Return the children of this name."""
        return [child for child in self.children if child.name == name]

    def optional(self, name: str) -> XmlElement | None:
        """Return the child of this name. Raises `InvalidIdentityToken` if there are several."""
        found = self.named(name)
        if len(found) > 1:
            message = f"expected at most one {local_name(name)} in {local_name(self.name)}, got {len(found)}"
            raise InvalidIdentityToken(message)
        return found[0] if found else None

    def only(self, name: str) -> XmlElement:
        """Return the child of this name. Raises `InvalidIdentityToken` unless there is exactly one."""
        found = self.optional(name)
        if found is None:
            raise InvalidIdentityToken(f"expected one {local_name(name)} in {local_name(self.name)}, got none")
        return found


@dataclass(frozen=True, slots=True)
class XmlDocument:
    """A parsed document with its bytes."""

    content: bytes = field(repr=False)
    root: XmlElement = field(repr=False)


def read_base64(element: XmlElement) -> bytes:
    """Return the bytes of an element's text in base64. Raises `InvalidIdentityToken`."""
    content = decode_base64(element.text)
    if not content:
        raise InvalidIdentityToken(f"expected base64 in {local_name(element.name)}")
    return content


def decode_base64(text: str) -> bytes | None:
    """Return the bytes of base64, which may contain line breaks and spaces; None if it is invalid."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return None


def local_name(name: str) -> str:
    """Return a name without its namespace, short enough for a message."""
    return shorten(name.rpartition("}")[2])


def shorten(text: str) -> str:
    """Return the start of a text of the document, in one line, for a message."""
    return "".join(character if character.isprintable() else "?" for character in text[:100])


def parse_xml(content: bytes) -> XmlDocument:
    """Parse a document. Raises `InvalidIdentityToken`."""
    _check_text(content)
    builder = _TreeBuilder()
    parser = xml_parser(builder)
    try:
        parser.feed(content)
        root: XmlElement | None = parser.close()  # type: ignore[assignment]  # what the builder returns
    except load_etree().XMLSyntaxError:
        raise InvalidIdentityToken("expected well-formed XML") from None
    if root is None or len(parser.feed_error_log):  # errors of namespaces don't stop a parser that has a target
        raise InvalidIdentityToken("expected well-formed XML with declared namespaces")
    return XmlDocument(content, root)


def xml_parser(target: object = None) -> etree.XMLParser:
    """Return a new parser that loads nothing from outside and expands no entity."""
    options: dict[str, Any] = {} if target is None else {"target": target}
    parser: etree.XMLParser = load_etree().XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=False,
        strip_cdata=False,
        collect_ids=False,
        **options,
    )
    return parser


def load_etree() -> Any:
    """Import lxml. Raises `ConfigurationError` if it is not installed."""
    with requires_extra("saml", "SAML"):
        return import_module("lxml.etree")


def _check_text(content: bytes) -> None:
    if len(content) > MAX_XML_BYTES:
        raise InvalidIdentityToken(f"expected XML of at most {MAX_XML_BYTES} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidIdentityToken("expected XML in UTF-8") from None
    declaration = _DECLARATION.match(text)
    if declaration is None and text.startswith(("<?xml ", "<?xml\t", "<?xml\n", "<?xml\r")):
        raise InvalidIdentityToken("expected a declaration of XML 1.0 in UTF-8")
    forbidden = _NOT_ALLOWED.search(text, declaration.end() if declaration else 0)
    if forbidden:
        raise InvalidIdentityToken(_REASONS[forbidden.group()])


class _OpenElement:
    """An element whose end was not read yet."""

    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str, attributes: Mapping[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[XmlElement] = []
        self.text: list[str] = []

    def close(self) -> XmlElement:
        text = "".join(self.text)
        if self.children:
            if text.strip(_SPACE):
                raise InvalidIdentityToken(f"text beside elements is not allowed, in {local_name(self.name)}")
            text = ""
        return XmlElement(self.name, MappingProxyType(dict(self.attributes)), tuple(self.children), text)


class _TreeBuilder:
    """Receives the events of lxml's parser, which calls these methods by name."""

    def __init__(self) -> None:
        self._root: XmlElement | None = None
        self._open: list[_OpenElement] = []
        self._elements = 0
        self._ids: set[str] = set()

    def start(self, name: str, attributes: Mapping[str, str], namespaces: Mapping[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_XML_ELEMENTS or len(self._open) >= MAX_XML_DEPTH:
            raise InvalidIdentityToken("it has too many elements, or they are nested too deeply")
        if len(attributes) + len(namespaces) > MAX_XML_ATTRIBUTES:
            raise InvalidIdentityToken(f"{local_name(name)} has too many attributes")
        for prefix, uri in namespaces.items():
            if not _NAMESPACE.fullmatch(uri) and (prefix or uri):
                raise InvalidIdentityToken(f"expected an absolute namespace, got `{shorten(uri)}`")
        self._check_ids(attributes)
        self._open.append(_OpenElement(name, attributes))

    def _check_ids(self, attributes: Mapping[str, str]) -> None:
        names = [name for name in attributes if name.rpartition("}")[2].lower() == "id"]
        if not names:
            return
        if len(names) > 1 or names[0] not in _ID_NAMES:
            raise InvalidIdentityToken("expected at most one ID of an element, without a namespace")
        id = attributes[names[0]]
        if id in self._ids:
            raise InvalidIdentityToken(f"several elements have the ID `{shorten(id)}`")
        self._ids.add(id)

    def data(self, text: str) -> None:
        self._open[-1].text.append(text)

    def end(self, name: str) -> None:
        element = self._open.pop().close()
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element

    def comment(self, text: str) -> None:
        raise InvalidIdentityToken(_REASONS["<!--"])

    def pi(self, target: str, data: str | None = None) -> None:
        raise InvalidIdentityToken(_REASONS["<?"])

    def doctype(self, *_: object) -> None:
        raise InvalidIdentityToken(_REASONS["<!"])

    def close(self) -> XmlElement | None:
        """Return the root. lxml calls this after an error too, so it must not raise one."""
        return self._root
