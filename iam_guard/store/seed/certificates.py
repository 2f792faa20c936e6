"""Reads the trust anchors with their revocation lists, and the certificate profiles, of a seed."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Final

from iam_guard.errors import InvalidInput
from iam_guard.model.certificates import read_authorities, read_revocation_list
from iam_guard.model.decision import PolicyType
from iam_guard.model.trust import ALL_NAMES, SESSION_SECONDS
from iam_guard.store.identifiers import fold
from iam_guard.store.seed.documents import Documents
from iam_guard.store.seed.fields import Fields, node_text
from iam_guard.store.seed.problems import Problems
from iam_guard.store.seed.seed_tree import ListNode, Node
from iam_guard.store.seed.seed_values import SeedAnchor, SeedProfile

_ANCHOR: Final = ("name", "id", "certificates", "revocation_lists", "enabled")
_PROFILE: Final = ("name", "id", "roles", "duration", "session_policy", "managed_policies", "mappings", "enabled")
_ID = re.compile(r"[a-f0-9]{8}(?:-[a-f0-9]{4}){3}-[a-f0-9]{12}")
_NAME = re.compile(r"[ a-zA-Z0-9_-]{1,255}")
_SPECIFIER = re.compile(r"\*|[A-Z]{1,12}|Name/(?:\*|[A-Z]{1,12})")
_DEFAULT_SECONDS = 3600
_MAX_LISTS = 20


class CertificateTrustReader:
    """Reads the trust anchors and profiles of one account."""

    def __init__(self, documents: Documents, problems: Problems, account: str) -> None:
        self._documents = documents
        self._problems = problems
        self._account = account
        self._names: set[tuple[str, str]] = set()

    def anchor(self, node: Node) -> SeedAnchor:
        fields = Fields(node, "a trust anchor", _ANCHOR, self._problems)
        name = self._name(fields, "trust anchor")
        lists = [self._list(item) for item in fields.items("revocation_lists")]
        if len(lists) > _MAX_LISTS:
            fields.problem("revocation_lists", f"expected at most {_MAX_LISTS} revocation lists, got {len(lists)}")
        return SeedAnchor(
            name,
            self._id(fields, "trust-anchor", name),
            self._certificates(fields),
            tuple(text for text in lists if text is not None),
            _is_enabled(fields),
            fields.line,
        )

    def profile(self, node: Node) -> SeedProfile:
        fields = Fields(node, "a certificate profile", _PROFILE, self._problems)
        name = self._name(fields, "certificate profile")
        roles = fields.refs("roles")
        if not roles:
            self._problems.add(fields.line, "expected the key `roles` with at least one role in a certificate profile")
        policy = fields.node("session_policy")
        return SeedProfile(
            name,
            self._id(fields, "profile", name),
            roles,
            fields.integer("duration", SESSION_SECONDS, _DEFAULT_SECONDS),
            None if policy is None else self._documents.read(policy, PolicyType.SESSION),
            fields.refs("managed_policies"),
            self._mappings(fields),
            _is_enabled(fields),
            fields.line,
        )

    def _name(self, fields: Fields, kind: str) -> str:
        name = fields.matching("name", _NAME, "a name of letters, digits, spaces, `-` and `_`", required=True) or ""
        if (kind, fold(name)) in self._names:
            self._problems.add(fields.line_of("name"), f"the {kind} `{name[:200]}` is declared twice")
        self._names.add((kind, fold(name)))
        return name

    def _id(self, fields: Fields, kind: str, name: str) -> str:
        """Return the id for the ARN: the declared one, or one derived from account and name."""
        id = fields.matching("id", _ID, "a UUID in lower case")
        return id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"iam_guard:{kind}:{self._account}/{name}"))

    def _certificates(self, fields: Fields) -> str:
        node = fields.node("certificates", required=True)
        text = None if node is None else self._documents.text(node, "certificates in PEM")
        if text is None:
            return ""
        try:
            read_authorities(text)
        except InvalidInput as error:
            fields.problem("certificates", error.message)
        return text

    def _list(self, node: Node) -> str | None:
        text = self._documents.text(node, "a revocation list in PEM")
        if text is None:
            return None
        try:
            read_revocation_list(text)
        except InvalidInput as error:
            self._problems.add(node.line, error.message)
        return text

    def _mappings(self, fields: Fields) -> Mapping[str, tuple[str, ...]] | None:
        if not fields.has("mappings"):
            return None
        mappings: dict[str, tuple[str, ...]] = {}
        for key, node in fields.pairs("mappings"):
            if key.text not in ALL_NAMES:
                options = ", ".join(f"`{field}`" for field in ALL_NAMES)
                self._problems.add(key.line, f"expected one of {options}, got `{key.text[:200]}`")
            items = node.items if isinstance(node, ListNode) else (node,)
            names = [node_text(item, "a certificate attribute", self._problems) or "" for item in items]
            for name in names:
                if not _SPECIFIER.fullmatch(name):
                    self._problems.add(node.line, f"expected `*` or an attribute such as `CN`, got `{name[:200]}`")
            mappings[key.text] = tuple(names)
        return mappings


def _is_enabled(fields: Fields) -> bool:
    return fields.choice("enabled", ("true", "false"), "true") == "true"
