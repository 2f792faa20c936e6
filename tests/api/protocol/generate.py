"""Values generated from shapes, by a seed; most strings are hostile."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from iam_guard.api.protocol.service_model import Shape

ATTACKS = (
    "<script>alert(1)</script>",
    "]]></Message><Code>Success</Code>",
    '"><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hosts">]>&e;',
    "&amp;&lt;&#0;&e;",
    '{"a": "b"}',
    '","__type":"Other","x":"',
    "a&Action=DeleteUser&b=c",
    "Tags.member.1.Key=x",
    "%26%3D%00%2e%2e%2f",
    "../../etc",
    "a/b?c=d#e",
    "a+b c%20d",
    "$" + "{jndi:ldap://x}",
    "'; DROP TABLE users; --",
    "x\r\nSet-Cookie: a=b",
    "\ttab\nline\rreturn ",
    " ",
    "",
    "zażółć gęślą jaźń 日本語 \U0001f600",
    "\u2028\u202e\u00a0\ufffd",
    "NaN",
    "null",
    "true",
    "-1",
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEEPEST = 6


class Maker:
    """Generates values of shapes. `has_empty` says whether the protocol supports empty structures and maps."""

    def __init__(self, seed: str, *, has_empty: bool, fill: float = 0.7) -> None:
        self.random = random.Random(seed)
        self.has_empty = has_empty
        self.fill = fill

    def value(self, shape: Shape, depth: int = 0) -> Any:
        """Generate one value."""
        match shape.kind:
            case "structure":
                return self.structure(shape, depth)
            case "list":
                sizes = (
                    (1, 2) if shape.location else (0, 1, 2, 12) if depth < 2 else (0, 1, 2)
                )  # a query string has no []
                size = 0 if depth > DEEPEST else self.random.choice(sizes)
                return [self.value(shape.element, depth + 1) for _ in range(size)]
            case "map":
                least = 0 if self.has_empty else 1
                keys = {self.value(shape.key): None for _ in range(self.random.choice((least, 1, 3)))}
                return {key: self.value(shape.value, depth + 1) for key in keys}
            case "document":
                return {"a": [1, 2.5, None, True, {"b": self.string()}]}
        return self.scalar(shape)

    def structure(self, shape: Shape, depth: int) -> dict[str, Any]:
        names = list(shape.members)
        if not names:
            return {}
        if shape.is_union:
            return {(name := self.random.choice(names)): self.value(shape.members[name], depth + 1)}
        fill = self.fill if depth < DEEPEST else 0.1
        chosen = [name for name in names if self.random.random() < fill or shape.members[name].location == "uri"]
        if not chosen and depth and not self.has_empty:
            chosen = [names[0]]
        return {name: self.value(shape.members[name], depth + 1) for name in chosen}

    def scalar(self, shape: Shape) -> Any:
        match shape.kind:
            case "integer":
                return self.random.choice((0, 1, -1, 100, 2**31 - 1, -(2**31)))
            case "long":
                return self.random.choice((0, 2**63 - 1, -(2**63)))
            case "float" | "double":
                return self.random.choice((0.0, -1.5, 1e300, 0.1))
            case "boolean":
                return self.random.random() < 0.5
            case "timestamp":
                return EPOCH + timedelta(seconds=self.random.randrange(2**32))
            case "blob":
                return self.random.randbytes(self.random.choice((0, 1, 2, 3, 100)))
        text = self.string()
        return text or "x" if shape.location == "uri" else text

    def string(self) -> str:
        return self.random.choice((self.random.choice(ATTACKS), "plain", "x" * self.random.choice((1, 300))))
