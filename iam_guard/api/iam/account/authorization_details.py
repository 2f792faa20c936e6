"""GetAccountAuthorizationDetails: users, groups, roles and managed policies with everything that decides.

The list is one sequence over five sections; a marker has the section and the last name in it. Related rows are loaded
for all entities of a page at once, so that the number of statements doesn't depend on the page's length.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.instance_profiles import describe_profiles
from iam_guard.api.iam.output_members import (
    attached_boundaries,
    describe_brief_roles,
    describe_identity,
    describe_policies,
    describe_version,
    last_uses,
    tag_list,
)
from iam_guard.api.iam.policies.attachments import describe_attachment
from iam_guard.api.paging import Key, page_of_heavy_rows
from iam_guard.store.database.records import Row, Table
from iam_guard.store.identifiers import AWS_MANAGED
from iam_guard.store.schema import (
    attachments,
    identities,
    inline_policies,
    instance_profiles,
    memberships,
    policies,
    policy_versions,
)

Rows: TypeAlias = Sequence[Row]


class Section(NamedTuple):
    """One kind of entity: its name in filters, its rows, its output member, and how to describe it."""

    filter: str
    table: Table
    where: Mapping[str, str]
    member: str
    describe: Callable[[ServiceCall, Rows], list[Output]]


def get_account_authorization_details(call: ServiceCall, parameters: Input) -> Output:
    """Describe the account, section by section."""
    filters = parameters.get("Filter") or [section.filter for section in SECTIONS]
    sections = {str(number): section for number, section in enumerate(SECTIONS) if section.filter in filters}

    def fetch(after: Key | None, limit: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for number, section in sections.items():
            if after is None or number >= after[0]:
                begin = after[1:] if after is not None and number == after[0] else None
                page_limit, where = limit - len(found), {"account": call.account, **section.where}
                rows = call.records.page(section.table, order=("folded",), after=begin, limit=page_limit, **where)
                found += [{"section": number, "folded": row["folded"], "row": row} for row in rows]
            if len(found) == limit:
                break
        return found

    def count_characters(entries: Sequence[Mapping[str, Any]]) -> int:
        ids = [entry["row"]["id"] for entry in entries]  # of identities and policies, whose ids are disjoint
        inline = call.records.characters(inline_policies, "text", identity_id=ids)
        trust = call.records.characters(identities, "trust_text", id=ids)
        return inline + trust + call.records.characters(policy_versions, "text", policy_id=ids)

    page = page_of_heavy_rows(parameters, ("section", "folded"), fetch, count_characters)
    output: Output = {section.member: [] for section in SECTIONS}
    for number, section in sections.items():
        rows = [entry["row"] for entry in page.rows if entry["section"] == number]
        if rows:
            output[section.member] += section.describe(call, rows)
    return {**output, **page.members}


# --- users, groups, roles ----------------------------------------------------------------------------------------


def _users(call: ServiceCall, rows: Rows) -> list[Output]:
    groups, boundaries = _groups(call, rows), attached_boundaries(call, rows)
    return [
        {
            **identity,
            "UserPolicyList": identity["UserPolicyList"] or None,
            "GroupList": groups.get(row["id"], []),
            "PermissionsBoundary": boundaries.get(row["id"]),
            "Tags": tag_list(row["tags"]),
        }
        for row, identity in zip(rows, _identities(call, rows), strict=True)
    ]


def _identities(call: ServiceCall, rows: Rows) -> list[Output]:
    """Describe what users, groups and roles have in common."""
    inline, attached = _inline(call, rows), _attached(call, rows)
    return [
        {
            **describe_identity(call, row),
            f"{row['kind'].capitalize()}PolicyList": inline.get(row["id"], []),
            "AttachedManagedPolicies": attached.get(row["id"], []),
        }
        for row in rows
    ]


def _roles(call: ServiceCall, rows: Rows) -> list[Output]:
    profiles, boundaries, uses = _profiles(call, rows), attached_boundaries(call, rows), last_uses(call, rows)
    return [
        {
            **identity,
            **brief,
            "InstanceProfileList": profiles.get(row["id"], []),
            "PermissionsBoundary": boundaries.get(row["id"]),
            "Tags": tag_list(row["tags"]),
            "RoleLastUsed": uses.get(row["id"], {}),
        }
        for row, identity, brief in zip(rows, _identities(call, rows), describe_brief_roles(call, rows), strict=True)
    ]


def _profiles(call: ServiceCall, roles: Rows) -> dict[str, list[Output]]:
    rows = call.records.all(instance_profiles, role_id=_ids(roles), order=("folded",))
    found: dict[str, list[Output]] = defaultdict(list)
    for row, profile in zip(rows, describe_profiles(call, rows), strict=True):
        found[row["role_id"]].append({**profile, "Tags": tag_list(row["tags"]) or None})
    return found


def _inline(call: ServiceCall, rows: Rows) -> dict[str, list[Output]]:
    found: dict[str, list[Output]] = defaultdict(list)
    for row in call.records.all(inline_policies, identity_id=_ids(rows), order=("folded",)):
        found[row["identity_id"]].append({"PolicyName": row["name"], "PolicyDocument": row["text"]})
    return found


def _attached(call: ServiceCall, rows: Rows) -> dict[str, list[Output]]:
    holders: dict[str, list[str]] = defaultdict(list)
    for link in call.records.all(attachments, identity_id=_ids(rows)):
        holders[link["policy_id"]].append(link["identity_id"])
    found: dict[str, list[Output]] = defaultdict(list)
    for policy in call.records.all(policies, id=list(holders), order=("folded", "account")):
        for holder in holders[policy["id"]]:
            found[holder].append(describe_attachment(call, policy))
    return found


def _groups(call: ServiceCall, rows: Rows) -> dict[str, list[str]]:
    members: dict[str, list[str]] = defaultdict(list)
    for membership in call.records.all(memberships, user_id=_ids(rows)):
        members[membership["group_id"]].append(membership["user_id"])
    found: dict[str, list[str]] = defaultdict(list)
    for group in call.records.all(identities, id=list(members), order=("folded",)):
        for member in members[group["id"]]:
            found[member].append(group["name"])
    return found


# --- managed policies --------------------------------------------------------------------------------------------


def _policies(call: ServiceCall, rows: Rows) -> list[Output]:
    policies = {row["id"]: row for row in rows}
    versions: dict[str, list[Output]] = {id: [] for id in policies}
    for version in call.records.all(policy_versions, policy_id=_ids(rows), order=("version",)):
        policy = policies[version["policy_id"]]
        versions[policy["id"]].insert(0, describe_version(policy, version, with_document=True))
    return [
        {**described, "PolicyVersionList": versions[row["id"]]}
        for row, described in zip(rows, describe_policies(call, rows), strict=True)
    ]


def _ids(rows: Rows) -> list[str]:
    return [row["id"] for row in rows]


SECTIONS = (
    Section("User", identities, {"kind": "user"}, "UserDetailList", _users),
    Section("Group", identities, {"kind": "group"}, "GroupDetailList", _identities),
    Section("Role", identities, {"kind": "role"}, "RoleDetailList", _roles),
    Section("LocalManagedPolicy", policies, {}, "Policies", _policies),
    Section("AWSManagedPolicy", policies, {"account": AWS_MANAGED}, "Policies", _policies),
)
"""In the order of the output."""
