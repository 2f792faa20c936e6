"""The store of the law of the fast path: accounts of an organization, and random changes of whatever decisions read."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from iam_guard.authn import api_key
from iam_guard.errors import IamGuardError
from iam_guard.model.account import AccountState
from iam_guard.model.decision import PolicyType
from iam_guard.policy.saving import validate_for_write
from iam_guard.store.database.records import Records, Row
from iam_guard.store.identifiers import PREFIXES, random_id
from iam_guard.store.policies.principal_bindings import bind_principals
from iam_guard.store.schema import (
    access_keys,
    accounts,
    api_keys,
    attachments,
    control_attachments,
    control_policies,
    identities,
    inline_policies,
    memberships,
    organizations,
    placements,
    policies,
    policy_versions,
    resources,
)
from iam_guard.store.sealing import Sealer
from iam_guard.store.seed import load_seed_text
from iam_guard.store.seed.seed_values import Seed
from iam_guard.store.sql_store import access_key_context
from tests.laws.fast_path.documents import COLOURS, HERE, MANAGEMENT, NAMES, START, THERE, document, everything

SECRET: Final = "secret-of-{}-0123456789abcdefghijklmn"
API_SECRET: Final = "SecretOf{}SecretSecretSecretSecretSecret"
TENANTS, GOLD = "ou-ab12-11111111", "ou-ab12-22222222"
ARNS: Final = tuple(
    f"arn:aws:docs:us-east-1:{account}:{kind}/{name}"
    for account in (HERE, THERE)
    for kind in ("document", "secret", "folder")
    for name in NAMES
)


def seed(rng: random.Random) -> Seed:
    """Return the initial content: mostly plain, so that fast paths apply; changes add the rest."""
    control = [
        {"name": f"{kind}-{number}", "type": kind, "document": document(rng, kind.lower())}
        for kind in ("SCP", "RCP")
        for number in range(2)
    ]
    content = {
        "version": 1,
        "organization": {
            "id": "o-exampleorg",
            "root_id": "r-ab12",
            "management_account": MANAGEMENT,
            "policies": control,
            "units": [
                {
                    "name": "tenants",
                    "id": TENANTS,
                    "accounts": [THERE],
                    "scps": ["FullAWSAccess", "SCP-0"],
                    "rcps": ["RCP-0"] if rng.random() < 0.5 else [],
                    "units": [{"name": "gold", "id": GOLD, "accounts": [HERE]}],
                }
            ],
        },
        "accounts": [{"id": MANAGEMENT, "name": "management"}, _account(rng, HERE), _account(rng, THERE)],
    }
    return load_seed_text(json.dumps(content))


def _account(rng: random.Random, id: str) -> dict[str, Any]:
    users = ("ann", "bob", "old") if id == HERE else ("eve",)
    managed = [{"name": name, "document": document(rng, "identity")} for name in ("Edit", "Read")]
    managed.append({"name": "Limit", "document": document(rng, "boundary")})
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": HERE}}]}
    trust["Statement"][0]["Action"] = "sts:AssumeRole"  # type: ignore[index]
    made: dict[str, Any] = {
        "id": id,
        "name": f"account {id}",
        "policies": managed,
        "groups": [{"name": f"editors{id[0]}", "inline": {"P": everything("docs:Get*")}}],
        "users": [_user(rng, name, id) for name in users],
        "roles": [{"name": "dev", "trust": trust, "inline": {"P": everything()}, "tags": {"team": "red"}}],
        "resources": [
            {"arn": arn, "tags": {"team": rng.choice(COLOURS)}, "policy": _resource_policy(rng)}
            for arn in rng.sample([arn for arn in ARNS if id in arn], 3)
        ],
    }
    key = {"id": f"AKIAROOT{id}", "secret": SECRET.format("root")}
    made["root"] = {"email": f"r@a{id}.example", "access_keys": [key]}
    if id == HERE:
        made["roles"][0]["api_keys"] = [{"id": "devkey", "secret": API_SECRET.format("dev")}]
    return made


def _resource_policy(rng: random.Random) -> dict[str, Any]:
    allows = {"Effect": "Allow", "Principal": {"AWS": [HERE, THERE]}, "Action": "docs:*", "Resource": "*"}
    if rng.random() < 0.3:
        allows["Principal"] = "*"
    return {"Version": "2012-10-17", "Statement": [allows]}


def _user(rng: random.Random, name: str, account: str) -> dict[str, Any]:
    key = {"id": f"AKIA{name.upper()}00000001", "secret": SECRET.format(name)}
    if name == "old":
        key["status"] = "Inactive"
    own_key: dict[str, Any] = {"id": f"{name}key", "secret": API_SECRET.format(name)}
    if (seconds := rng.choice((0, 0, 60, 3600))) > 0:
        own_key["expires"] = (START + timedelta(seconds=seconds)).isoformat()
    if name == "bob":
        own_key["session_policy"] = document(rng, "session")
    user: dict[str, Any] = {"name": name, "access_keys": [key], "api_keys": [own_key]}
    user["inline"] = {"P": everything() if name == "ann" or rng.random() < 0.3 else document(rng, "identity")}
    if name == "bob" and rng.random() < 0.5:
        user["boundary"] = "Limit"
    user["tags"] = {"team": rng.choice(COLOURS)}
    user["groups"] = [f"editors{account[0]}"] if name == "ann" else []
    return user


# --- changes -----------------------------------------------------------------------------------------------------


class Changes:
    """Makes one random change in a transaction. `sealer` is that of the store."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._rng = random.Random(0)

    def make(self, records: Records, rng: random.Random) -> str:
        """Make a change, and return what it is. Some find nothing to change."""
        self._rng = rng
        change = rng.choice(_CHANGES)
        change(self, records)
        return change.__name__

    def _identity(self, records: Records, *kinds: str) -> Row:
        rows = records.all(identities, order=("account", "kind", "folded"), kind=kinds or ("user", "role", "group"))
        likely = [row for row in rows if row["folded"] in ("ann", "dev")]
        return self._rng.choice(likely if likely and self._rng.random() < 0.5 else rows)

    def _text(self, kind: str, type: PolicyType) -> dict[str, str]:
        made = validate_for_write(document(self._rng, kind), type)
        return {"text": made.text, "digest": str(made.digest)}

    def inline_policy(self, records: Records) -> None:
        owner = self._identity(records)["id"]
        name = self._rng.choice("PQ")
        if self._rng.random() < 0.4:
            records.delete(inline_policies, identity_id=owner, folded=name.lower())
            return
        text = self._text("identity", PolicyType.IDENTITY)
        if not records.update(inline_policies, text, identity_id=owner, folded=name.lower()):
            records.insert(inline_policies, identity_id=owner, folded=name.lower(), name=name, **text)

    def attachment(self, records: Records) -> None:
        owner = self._identity(records)
        policy = self._rng.choice(records.all(policies, order=("id",), account=owner["account"]))["id"]
        if not records.delete(attachments, identity_id=owner["id"], policy_id=policy):
            records.insert(attachments, identity_id=owner["id"], policy_id=policy)

    def managed_policy(self, records: Records) -> None:
        """Edit a managed policy: a new version becomes the default."""
        policy = self._rng.choice(records.all(policies, order=("id",), account=(HERE, THERE)))
        version = 1 + max(row["version"] for row in records.all(policy_versions, policy_id=policy["id"]))
        kind = "boundary" if policy["folded"] == "limit" else "identity"
        text = self._text(kind, PolicyType.IDENTITY)
        records.insert(policy_versions, policy_id=policy["id"], version=version, created=0, **text)
        records.update(policies, {"default_version": version}, id=policy["id"])

    def membership(self, records: Records) -> None:
        user = self._identity(records, "user")
        group = self._rng.choice(records.all(identities, account=user["account"], kind="group"))
        if not records.delete(memberships, user_id=user["id"], group_id=group["id"]):
            records.insert(memberships, user_id=user["id"], group_id=group["id"])

    def boundary(self, records: Records) -> None:
        owner = self._identity(records, "user", "role")
        limit = records.one(policies, account=owner["account"], folded="limit")
        is_set = owner["boundary_id"] is not None
        records.update(identities, {"boundary_id": None if is_set or limit is None else limit["id"]}, id=owner["id"])

    def tags(self, records: Records) -> None:
        tags = {"team": self._rng.choice(COLOURS)} if self._rng.random() < 0.7 else {}
        records.update(identities, {"tags": tags}, id=self._identity(records, "user", "role")["id"])

    def rename(self, records: Records) -> None:
        """Rename a user, or move a user or role to another path; names are given back to them often."""
        owner = self._identity(records, "user", "role")
        values: dict[str, str] = {"path": "/staff/" if owner["path"] == "/" else "/"}
        if owner["kind"] == "user" and self._rng.random() < 0.6:
            name = owner["name"].removesuffix("2") if owner["name"].endswith("2") else f"{owner['name']}2"
            values = {"name": name, "folded": name}
        records.update(identities, values, id=owner["id"])

    def recreate(self, records: Records) -> None:
        """Delete a user and create another one with its name, and mostly with the id of its key."""
        user = self._identity(records, "user")
        keys, own_keys = records.all(access_keys, user_id=user["id"]), records.all(api_keys, identity_id=user["id"])
        records.delete(identities, id=user["id"])
        id = random_id(PREFIXES["user"], user["name"])
        records.insert(identities, **{**user, "id": id, "boundary_id": None})
        text = self._text("identity", PolicyType.IDENTITY)
        records.insert(inline_policies, identity_id=id, folded="p", name="P", **text)
        if self._rng.random() < 0.9:
            for key in keys:
                records.insert(access_keys, **{**key, "user_id": id})
            for key in own_keys:
                records.insert(api_keys, **{**key, "identity_id": id})

    def access_key(self, records: Records) -> None:
        """Deactivate or activate a key, replace its secret, delete it, or give it to another user."""
        rows = records.all(access_keys, order=("id",))
        inactive = [row for row in rows if row["status"] == "Inactive"]
        row = self._rng.choice(inactive if inactive and self._rng.random() < 0.5 else rows)
        match self._rng.randrange(4):
            case 0:
                self._restore_key(records, row)
            case 1 | 2:
                status = "Active" if row["status"] == "Inactive" else "Inactive"
                records.update(access_keys, {"status": status}, id=row["id"])
            case _:
                names = ("other", row["id"][4:-8].lower())
                secret = SECRET.format(self._rng.choices(names, (1, 3))[0])
                sealed = self._sealer.seal(secret.encode(), access_key_context(row["id"]))
                records.update(access_keys, {"sealed": sealed}, id=row["id"])

    def _restore_key(self, records: Records, row: Row) -> None:
        owner = self._identity(records, "user")
        records.delete(access_keys, id=row["id"])
        records.insert(access_keys, **{**row, "account": owner["account"], "user_id": owner["id"], "status": "Active"})

    def own_key(self, records: Records) -> None:
        """Change the status, expiry, restriction or digest of an API key, or delete it and create it for another."""
        rows = records.all(api_keys, order=("id",))
        row = self._rng.choice(rows) if rows else None
        if row is None or self._rng.random() < 0.4:
            owner = self._identity(records, "user", "role")["id"]
            id = self._rng.choice(("annkey", "bobkey", "devkey"))
            records.delete(api_keys, id=id)
            digest = api_key.digest_of(API_SECRET.format(id.removesuffix("key")))
            records.insert(api_keys, id=id, identity_id=owner, digest=digest, status="Active", created=0)
            return
        restricted = self._text("session", PolicyType.SESSION)["text"]
        changes: tuple[dict[str, Any], ...] = (
            {"status": "Active" if row["status"] == "Inactive" else "Inactive"},
            {
                "expires": int(
                    (START + timedelta(seconds=self._rng.choice((-5, 60, 600, 86400, 86400, 86400, 86400)))).timestamp()
                )
            },
            {"expires": None},
            {"expires": None, "status": "Active"},
            {"session_policy": restricted if row["session_policy"] is None else None},
            {"digest": secrets.token_bytes(32)},
        )
        records.update(api_keys, self._rng.choice(changes), id=row["id"])

    def trust(self, records: Records) -> None:
        role = self._identity(records, "role")
        records.update(identities, {"trust_text": json.dumps(everything("sts:AssumeRole"))}, id=role["id"])

    def control_policy(self, records: Records) -> None:
        own = records.all(control_policies, order=("id",), organization_id="o-exampleorg")
        row = self._rng.choice(own)
        records.update(control_policies, self._text(row["type"].lower(), PolicyType[row["type"]]), id=row["id"])

    def control_attachment(self, records: Records) -> None:
        """Attach an SCP or RCP to the root, a unit or an account, or detach it; sometimes AWS's own."""
        rows = records.all(control_policies, order=("id",))
        row = self._rng.choice([row for row in rows if row["organization_id"] is not None or self._rng.random() < 0.3])
        target = self._rng.choice(("r-ab12", TENANTS, GOLD, HERE, THERE))
        if records.delete(control_attachments, policy_id=row["id"], target=target):
            return
        where = {"account": target} if target.isdigit() else {"unit_id": target}
        records.insert(control_attachments, policy_id=row["id"], target=target, **where)

    def placement(self, records: Records) -> None:
        """Move an account to another unit, or out of the organization and back."""
        account = self._rng.choice((HERE, THERE))
        if self._rng.random() < 0.2 and records.delete(placements, account=account):
            return
        unit = {"unit_id": self._rng.choice(("r-ab12", TENANTS, GOLD))}
        if not records.update(placements, unit, account=account):
            records.insert(placements, account=account, **unit)

    def organization(self, records: Records) -> None:
        column = self._rng.choice(("scps_enabled", "rcps_enabled"))
        row = records.one(organizations, id="o-exampleorg")
        if row is not None:
            records.update(organizations, {column: not row[column]}, id=row["id"])

    def resource_record(self, records: Records) -> None:
        """Put, change or remove the record of a resource: its owner, tags and policy."""
        arn = self._rng.choice(ARNS[:3] if self._rng.random() < 0.7 else ARNS)
        row = records.one(resources, arn=arn)
        if row is not None and self._rng.random() < 0.4:
            records.delete(resources, arn=arn)
            return
        tags = {self._rng.choice(("team", "Team")): self._rng.choice(COLOURS)} if self._rng.random() < 0.8 else {}
        values: dict[str, Any] = {"tags": tags} | self._attached(records)
        owner = self._rng.choice((HERE, THERE)) if self._rng.random() < 0.2 else arn.split(":")[4]
        if row is None:
            records.insert(resources, arn=arn, account=owner, **{"bindings": {}, **values})
        else:
            records.update(resources, values | {"account": owner}, arn=arn)

    def _attached(self, records: Records) -> dict[str, Any]:
        if self._rng.random() < 0.3:
            return {"text": None, "digest": None, "bindings": {}}
        try:
            made = validate_for_write(document(self._rng, "resource"), PolicyType.RESOURCE)
            bindings = bind_principals(records, made, partition="aws")
        except IamGuardError:  # it names a user who has another name now
            return {}
        return {"text": made.text, "digest": made.digest, "bindings": bindings}

    def account_state(self, records: Records) -> None:
        """Suspend or close an account, or resume it."""
        account = self._rng.choice((HERE, HERE, THERE))
        row = records.one(accounts, id=account)
        is_active = row is not None and row["state"] == AccountState.ACTIVE
        state = self._rng.choice([*AccountState][1:]) if is_active else AccountState.ACTIVE
        records.update(accounts, {"state": state.value}, id=account)

    def account(self, records: Records) -> None:
        """Change what no decision reads."""
        records.update(accounts, {"name": self._rng.choice(COLOURS)}, id=HERE)


_CHANGES: Final[tuple[Callable[[Changes, Records], None], ...]] = (
    *(Changes.inline_policy, Changes.attachment, Changes.managed_policy, Changes.membership, Changes.boundary),
    *(Changes.tags, Changes.rename, Changes.recreate, Changes.access_key, Changes.own_key, Changes.trust),
    *(Changes.control_policy, Changes.control_attachment, Changes.placement, Changes.organization),
    *(Changes.resource_record, Changes.resource_record, Changes.resource_record, Changes.account),
    *(Changes.inline_policy, Changes.access_key, Changes.own_key, Changes.account_state),
)
