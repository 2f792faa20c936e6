"""Reads the trust anchors with their revocation lists, and the certificate profiles, of a seed."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Final

from iam_guard.errors import InvalidInput
from iam_guard.model.certificates import read_authorities, read_revocation_list
from iam_guard.model.decision import PolicyType
from iam_guard.model.trust import ALL_NAMES, SESSION_SECONDS
from iam_guard.policy.yaml_tree import ListNode, Node
from iam_guard.store.seed.documents import Documents
from iam_guard.store.seed.fields import Fields, node_text
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

    def __init__(self, documents: Documents, account: str) -> None:
        self._documents = documents
        self._problems = documents.problems
        self._account = account

    def anchor(self, node: Node) -> SeedAnchor:
        fields = Fields(node, "a trust anchor", _ANCHOR, self._problems)
        name = self._name(fields, "trust anchor")
        certificates = fields.node("certificates", required=True)
        lists = fields.each(
            "revocation_lists", lambda item: self._pem(item, "a revocation list in PEM", read_revocation_list)
        )
        if len(lists) > _MAX_LISTS:
            fields.problem("revocation_lists", f"expected at most {_MAX_LISTS} revocation lists, got {len(lists)}")
        return SeedAnchor(
            name,
            self._id(fields, "trust-anchor", name),
            "" if certificates is None else self._pem(certificates, "certificates in PEM", read_authorities),
            lists,
            fields.boolean("enabled") is not False,
            fields.line,
        )

    def profile(self, node: Node) -> SeedProfile:
        fields = Fields(node, "a certificate profile", _PROFILE, self._problems)
        name = self._name(fields, "certificate profile")
        roles = fields.refs("roles")
        if not roles:
            self._problems.add(fields.line, "expected the key `roles` with at least one role in a certificate profile")
        return SeedProfile(
            name,
            self._id(fields, "profile", name),
            roles,
            fields.integer("duration", SESSION_SECONDS, _DEFAULT_SECONDS),
            self._documents.of_field(fields, "session_policy", PolicyType.SESSION),
            fields.refs("managed_policies"),
            self._mappings(fields),
            fields.boolean("enabled") is not False,
            fields.line,
        )

    def _name(self, fields: Fields, kind: str) -> str:
        name = fields.matching("name", _NAME, "a name of letters, digits, spaces, `-` and `_`", required=True) or ""
        fields.check_unique("name", kind, name, within=self._account)
        return name

    def _id(self, fields: Fields, kind: str, name: str) -> str:
        """Return the id for the ARN: the declared one, or one derived from account and name."""
        id = fields.matching("id", _ID, "a UUID in lower case")
        return id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"iam_guard:{kind}:{self._account}/{name}"))

    def _pem(self, node: Node, what: str, read: Callable[[str], object]) -> str:
        text = self._documents.text(node, what)
        try:
            if text is not None:
                read(text)
        except InvalidInput as error:
            self._problems.add(node.line, error.message)
        return text or ""

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
