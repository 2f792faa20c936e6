"""XML responses of the query protocol: text, elements, and the layout of values.

XML is only written here, never parsed. Characters that XML 1.0 can't carry are replaced by U+FFFD, so that one such
name doesn't make a whole list unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from iam_guard.api.protocol.scalars import ScalarRow, scalar_of
from iam_guard.api.protocol.service_model import Shape

NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NOT_PLAIN = re.compile('[\x00-\x08\x0b-\x1f"&<>\ud800-\udfff\ufffe\uffff]')
"""Characters that need escaping or replacement; most texts have none."""
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#xD;"})


def xml_text(text: str) -> str:
    """Escape text for an element or an attribute; a bare carriage return would be parsed as a line feed."""
    if _NOT_PLAIN.search(text) is None:
        return text
    return NOT_IN_XML.sub("\ufffd", text).translate(_ESCAPES)


def element(name: str, inside: str, namespace: str = "") -> str:
    """Return an element with content that is XML already."""
    attribute = f' xmlns="{xml_text(namespace)}"' if namespace else ""
    return f"<{name}{attribute}>{inside}</{name}>"


@dataclass(frozen=True, slots=True)
class XmlGrammar:
    """Each value is written as the content of its element; lists and maps stay lists, for their structure to wrap.

    Shapes named in `percent_encoded` are percent-encoded (RFC 3986): the policy documents of IAM.
    """

    percent_encoded: Collection[str] = ()

    def name(self, shape: Shape, member: str) -> str:
        return shape.name_in_query(member)

    def scalar(self, shape: Shape) -> ScalarRow:
        return scalar_of("text", shape, "iso8601")

    def structure(self, members: Sequence[tuple[str, Shape, Any]]) -> str:
        return "".join(_wrapped(name, shape, written) for name, shape, written in members)

    def list(self, elements: Sequence[Any]) -> Any:
        return elements

    def map(self, entries: Sequence[tuple[Any, Any]]) -> Any:
        return entries

    def finish(self, shape: Shape, written: Any) -> Any:
        if shape.name in self.percent_encoded:
            return quote(written, safe="", errors="replace")
        return xml_text(written) if shape.kind not in _HAVE_PARTS else written


_HAVE_PARTS = frozenset({"structure", "list", "map"})


def _wrapped(name: str, shape: Shape, written: Any) -> str:
    """Write a value with its tags; elements of a flattened list or map repeat the member's own."""
    match shape.kind:
        case "list":
            item = name if shape.flattened else shape.element.wire_name or "member"
            inside = "".join(_wrapped(item, shape.element, part) for part in written)
        case "map":
            item = name if shape.flattened else "entry"
            inside = "".join(element(item, _entry(shape, key, value)) for key, value in written)
        case _:
            return element(name, written)
    return inside if shape.flattened else element(name, inside)


def _entry(shape: Shape, key: str, value: Any) -> str:
    key_name, value_name = shape.key.wire_name or "key", shape.value.wire_name or "value"
    return element(key_name, key) + _wrapped(value_name, shape.value, value)
