"""Reads the organization of a seed: a tree of units with accounts, and the control policies of each.

A unit or account without the key `scps` has `FullAWSAccess`, as a new one in AWS; one with the key has exactly the
listed policies. `RCPFullAWSAccess` is always attached as well, and can't be detached. Rules E-12, E-13, G-72, G-76.
"""

from __future__ import annotations

from iam_guard.model.decision import PolicyType
from iam_guard.policy.yaml_tree import MapNode, Node, Scalar
from iam_guard.store.identifiers import ORGANIZATION_ID, ROOT_ID, UNIT_ID, fold
from iam_guard.store.policies.builtin import FULL_ACCESS
from iam_guard.store.seed.documents import Documents
from iam_guard.store.seed.fields import Fields, checked_account_id, checked_name
from iam_guard.store.seed.seed_values import Ref, SeedControlPolicy, SeedMember, SeedOrganization, SeedUnit

MAX_LEVELS = 5
"""The number of levels of units below the root."""

_CONTENT = ("scps", "rcps", "accounts", "units")
_ORGANIZATION = ("id", "management_account", "root_id", "policies", *_CONTENT)
_UNIT = ("name", "id", *_CONTENT)


class OrganizationReader:
    """Reads `organization`, and records its problems."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._problems = documents.problems

    def organization(self, node: Node) -> SeedOrganization:
        fields = Fields(node, "an organization", _ORGANIZATION, self._problems)
        id = fields.matching("id", ORGANIZATION_ID, "an id such as `o-exampleorg`", required=True)
        management = fields.account_id("management_account")
        root_id = fields.matching("root_id", ROOT_ID, "an id such as `r-ab12`")
        policies = tuple(policy for policy in fields.each("policies", self._control_policy) if policy is not None)
        root = self._unit(fields, "", root_id, level=0)
        self._check_duplicates(policies, root)
        return SeedOrganization(id or "", management, policies, root, fields.line)

    def _control_policy(self, node: Node) -> SeedControlPolicy | None:
        fields = Fields(node, "a control policy", ("name", "type", "description", "document"), self._problems)
        type = fields.choice("type", tuple(FULL_ACCESS), "")
        name = checked_name(fields.text("name", required=True) or "", "policy", fields.line_of("name"), self._problems)
        source = fields.node("document", required=True)
        if not type:
            fields.node("type", required=True)
        if type not in FULL_ACCESS or source is None:
            return None
        if name in FULL_ACCESS.values():
            fields.problem("name", f"the name `{name}` is reserved for AWS's own policy")
        document = self._documents.read(source, PolicyType[type])
        if document is None:
            return None
        return SeedControlPolicy(type, name, fields.text("description") or "", document, fields.line)

    def _unit(self, fields: Fields, name: str, id: str | None, *, level: int) -> SeedUnit:
        if level > MAX_LEVELS:
            self._problems.add(fields.line, f"expected at most {MAX_LEVELS} levels of units below the root")
        return SeedUnit(
            name,
            id,
            attached=self._attached(fields),
            members=fields.each("accounts", self._member),
            units=fields.each("units", lambda node: self._named_unit(node, level + 1)),
            line=fields.line,
        )

    def _named_unit(self, node: Node, level: int) -> SeedUnit:
        fields = Fields(node, "a unit", _UNIT, self._problems)
        id = fields.matching("id", UNIT_ID, "an id such as `ou-ab12-11111111`")
        name = fields.text("name", required=True) or ""
        if len(name) > 128:
            fields.problem("name", "expected a unit name of at most 128 characters")
        return self._unit(fields, name, id, level=level)

    def _member(self, node: Node) -> SeedMember:
        if isinstance(node, Scalar):
            return SeedMember(checked_account_id(node, self._problems), {}, node.line)
        fields = Fields(node, "an account of a unit", ("id", "scps", "rcps"), self._problems)
        account = fields.account_id("id", required=isinstance(node, MapNode))
        return SeedMember(account, self._attached(fields), fields.line)

    def _attached(self, fields: Fields) -> dict[str, tuple[Ref, ...]]:
        """Return the listed control policies of each type; a type without the key has full access."""
        attached: dict[str, tuple[Ref, ...]] = {}
        for type, key in (("SCP", "scps"), ("RCP", "rcps")):
            if not fields.has(key):
                continue
            refs = attached[type] = fields.refs(key)
            implied = FULL_ACCESS["RCP"] if type == "RCP" else None
            count = len([ref for ref in refs if ref.text != implied]) + (implied is not None)
            fields.check_quota(key, f"{type}s per root, unit or account", count)
            if not count:
                fields.problem(key, f"expected at least one of `{key}`: omit the key for {FULL_ACCESS[type]}")
        return attached

    def _check_duplicates(self, policies: tuple[SeedControlPolicy, ...], root: SeedUnit) -> None:
        self._check_unique(
            "control policy", [(f"{policy.type} {fold(policy.name)}", policy.line) for policy in policies]
        )
        units = list(root.walk())
        self._check_unique("unit id", [(unit.id, unit.line) for unit in units if unit.id is not None])
        self._check_unique("account", [(member.account, member.line) for unit in units for member in unit.members])
        for unit in units:
            self._check_unique("unit", [(fold(child.name), child.line) for child in unit.units])

    def _check_unique(self, what: str, named: list[tuple[str, int]]) -> None:
        seen: set[str] = set()
        for name, line in named:
            if name and name in seen:
                self._problems.add(line, f"the {what} `{name[:200]}` is in the organization twice")
            seen.add(name)
