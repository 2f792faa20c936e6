"""Small random stores, and every request that a few callers can make of a few resources, decided by the evaluator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

from iam_guard.analysis.invariants.access_parties import AccessTarget
from iam_guard.analysis.invariants.access_query import AccessQuery
from iam_guard.analysis.invariants.store_access import StoreAccess
from iam_guard.errors import PolicyError
from iam_guard.evaluation.bundle import Bundle, bundle
from iam_guard.evaluation.evaluator import decide
from iam_guard.model.arn import account_of
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.parser import parse
from iam_guard.store.policies.stored_principals import ANY_SESSION, StoredPrincipal, StoredPrincipals
from iam_guard.store.protocol import AccountRecord, Organization, PrincipalRecord, StoredPolicy
from tests.analysis.checks.small_policies import (
    ACCOUNT,
    ACTION_ENTRIES,
    ACTIONS,
    KEYS,
    OTHER,
    PARTITION,
    PRINCIPAL_ENTRIES,
    RESOURCE_ENTRIES,
    RESOURCES,
    Doc,
    Pair,
)

ADMIN = f"arn:aws:iam::{ACCOUNT}:role/path/admin"
SHARED, KEY = RESOURCES[0], f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1"
OWNED = "arn:aws:docs:::ada/x"
ALLOW_ALL: Doc = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
TRUST = ["sts:AssumeRole", "sts:TagSession", "sts:*", "*"]
ALL_ACTIONS = [*ACTIONS, "kms:Decrypt", "sts:AssumeRole", "sts:TagSession", "sns:Publish"]
ALL_RESOURCES = [*RESOURCES, KEY, ADMIN, f"arn:aws:docs:eu-west-1:{OTHER}:a/1"]
MORE_CONDITIONS: list[Doc] = [
    {"StringEquals": {"aws:PrincipalTag/team": "red"}},
    {"StringNotEquals": {"aws:PrincipalTag/team": "blue"}},
    {"StringEquals": {"aws:PrincipalOrgID": "o-one"}},
    {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-one/*"}},
    {"StringEquals": {"aws:ResourceOrgID": "${aws:PrincipalOrgID}"}},
    {"StringEquals": {"aws:ResourceAccount": ACCOUNT}},
    {"Null": {"aws:username": "true"}},
    {"StringEquals": {"aws:PrincipalTag/team": "${docs:Owner}"}},
    {"StringEquals": {"aws:PrincipalTag/team": "${aws:ResourceTag/team}"}},
    {"StringNotEqualsIfExists": {"aws:PrincipalTag/team": "${aws:ResourceTag/team}"}},
    {"StringLike": {"aws:userid": "AROA1:s*"}},
]


_TYPES = {True: PolicyType.RESOURCE, False: PolicyType.TRUST}


class SmallStore(Pair):
    """A store of two accounts, of which one is in an organization."""

    def __init__(self, random: Random) -> None:
        super().__init__(random, with_derived=0.2)
        self.documents: dict[str, list[Doc]] = {}
        self.boundaries: dict[str, Doc] = {}
        self.resource_policies = {SHARED: self.of_resource(), OWNED: self.of_resource(), KEY: self.of_resource()}
        self.trust = self.of_resource(has_resource=False)
        self.scps = [self.levels(PolicyType.SCP), None][random.random() < 0.3]
        self.rcps = [self.levels(PolicyType.RCP), None][random.random() < 0.4]
        self.own_services = frozenset({"docs"} if random.random() < 0.5 else {"sns", "docs"})
        self._create()
        self.set_principals()
        self.query = self._query()
        self._bundles: dict[tuple[object, ...], Bundle] = {}

    # --- policies ------------------------------------------------------------------------------------------------

    def statement(self, *, is_resource: bool = False, has_resource: bool = True) -> Doc:
        """Return a random statement of an identity-based or a resource-based policy."""
        random = self.random
        self.is_resource = False
        found = self._statement()
        if is_resource:
            found.pop("NotPrincipal", None)
            is_deny = found["Effect"] == "Deny"
            entry = random.choice(PRINCIPAL_ENTRIES)
            found["NotPrincipal" if is_deny and random.random() < 0.25 else "Principal"] = entry
            name = "Resource" if "Resource" in found else "NotResource"
            found[name] = [text for text in found[name] if text.count(":") >= 5] or ["*"]
        if not has_resource:
            found.pop("Resource", None)
            found.pop("NotResource", None)
            found.pop("NotAction", None)
            found["Action"] = random.sample(TRUST, 1)
        elif random.random() < 0.2:
            found.pop("NotAction", None)
            found["Action"] = random.sample([*ALL_ACTIONS, "*", "kms:*", "s?s:*"], 2)
        if random.random() < 0.25:
            found["Condition"] = random.choice(MORE_CONDITIONS)
        return found

    def policy(self, **kind: bool) -> Doc:
        """Return a random policy that the parser accepts."""
        while True:
            statements = [self.statement(**kind) for _ in range(self.random.randint(1, 3))]
            document = {"Version": "2012-10-17", "Statement": statements}
            try:
                has_resource = kind.get("has_resource", True)
                parse(document, PolicyType.IDENTITY if not kind else _TYPES[has_resource])
            except PolicyError:
                continue
            return document

    def of_resource(self, *, has_resource: bool = True) -> Doc:
        """Return a random resource-based policy, or a trust policy."""
        return self.policy(is_resource=True, has_resource=has_resource)

    def levels(self, type: PolicyType) -> list[list[Doc]]:
        """Return levels of SCPs or RCPs that do not deny everything."""
        found: list[list[Doc]] = []
        for _ in range(self.random.randint(1, 2)):
            level = [ALLOW_ALL] if type is PolicyType.SCP else [_for_everyone(ALLOW_ALL["Statement"])]
            if self.random.random() < 0.7:
                statement = self.statement()
                if statement["Effect"] == "Allow" and self.random.random() < 0.5:
                    level = []
                statement.pop("NotAction", None) and statement.setdefault("Action", "*")
                level.append(
                    _for_everyone(statement)
                    if type is PolicyType.RCP
                    else {"Version": "2012-10-17", "Statement": [statement]}
                )
            try:
                for document in level:
                    parse(document, type)
            except PolicyError:
                continue
            found.append(level)
        return found or [[ALLOW_ALL] if type is PolicyType.SCP else [_for_everyone(ALLOW_ALL["Statement"])]]

    def _query(self) -> AccessQuery:
        random = self.random
        while True:
            about: Doc = {"Effect": "Allow", "Action": random.sample([*ACTION_ENTRIES, *ALL_ACTIONS], 2)}
            about["Resource"] = random.sample([*RESOURCE_ENTRIES, ADMIN, KEY, "*"], 2)
            if random.random() < 0.3 and self.keys:
                about["Condition"] = self._conditions(1)
            unless = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": random.choice(MORE_CONDITIONS)}
            try:
                return AccessQuery(_stored(about), (_stored(unless),) if random.random() < 0.3 else ())
            except PolicyError:
                continue

    # --- the store -----------------------------------------------------------------------------------------------

    def _create(self) -> None:
        """Choose the policies of the principals."""
        random = self.random
        self.tags = {"team": "red"} if random.random() < 0.7 else {}
        for name in ("user/ada", "user/bob", f"{OTHER}:user/eve", "role/path/admin"):
            arn = f"arn:aws:iam::{name}" if name.startswith(OTHER) else f"arn:aws:iam::{ACCOUNT}:{name}"
            documents = [self.policy() for _ in range(random.randint(0, 2))]
            if ":user/" in arn and random.random() < 0.5:
                documents.append(_document({"Effect": "Allow", "Action": "sts:GetFederationToken", "Resource": "*"}))
            self.documents[arn] = documents
            if random.random() < 0.3:
                self.boundaries[arn] = self.policy()

    def set_principals(self) -> None:
        """Set the principals by their policies."""
        self.principals = [*self._principals()]

    def _principals(self) -> Iterator[StoredPrincipal]:
        for arn, documents in self.documents.items():
            boundary = self.boundaries.get(arn)
            more: Doc = {"tags": {} if "/bob" in arn else self.tags, "has_boundary": boundary is not None}
            name = arn.rpartition("/")[2]
            kind = "role" if arn == ADMIN else "user"
            if kind == "role":
                session = f"arn:aws:sts::{ACCOUNT}:assumed-role/admin/{ANY_SESSION}"
                principal = Principal.from_arn(session, role_arn=ADMIN, userid=f"AROA1:{ANY_SESSION}", **more)
            else:
                principal = Principal.from_arn(arn, userid=f"AIDA{name.upper()}", **more)
            policies = [
                StoredPolicy.of(f"{arn}/{number}", PolicyType.IDENTITY, None, json.dumps(document))
                for number, document in enumerate(documents)
            ]
            text = json.dumps(boundary)
            stored = None if boundary is None else StoredPolicy.of("boundary", PolicyType.BOUNDARY, None, text)
            record = PrincipalRecord(1, True, principal, tuple(policies), stored)
            trust = json.dumps(self.trust) if kind == "role" else None
            yield StoredPrincipal(kind, arn, principal.account or "", record, {}, principal.tags, trust)
        for account in (ACCOUNT, OTHER):
            root = Principal.from_arn(f"arn:aws:iam::{account}:root", userid=account)
            yield StoredPrincipal("root", root.arn, account, PrincipalRecord(1, True, root))

    def like(self, caller: Principal) -> Principal:
        """Return a caller with the tags and the boundary that it has in this store."""
        for stored in self.principals:
            known = stored.record.principal
            if stored.arn == caller.identity_arn:
                return replace(caller, tags=known.tags, has_boundary=known.has_boundary)
        return caller

    def account(self, account: str) -> AccountRecord:
        """Return an account."""
        if account != ACCOUNT:
            return AccountRecord(1, account, account == OTHER)
        return AccountRecord(
            1,
            account,
            True,
            Organization("o-one", "o-one/r-1/ou-1/", False),
            _stored_levels(self.scps, PolicyType.SCP),
            _stored_levels(self.rcps, PolicyType.RCP),
        )

    @property
    def owners(self) -> dict[str, str]:
        """The owners of the resources with policies."""
        return {SHARED: ACCOUNT, OWNED: OTHER, KEY: ACCOUNT}

    def access(self) -> StoreAccess:
        """Return the store as the analysis reads it."""
        accounts = {account: self.account(account) for account in (ACCOUNT, OTHER)}
        targets = [
            AccessTarget(
                arn, accounts[self.owners[arn]], StoredPolicy.of(arn, PolicyType.RESOURCE, None, json.dumps(policy))
            )
            for arn, policy in self.resource_policies.items()
        ]
        trust = StoredPolicy.of("trust policy", PolicyType.TRUST, ADMIN, json.dumps(self.trust))
        targets.append(AccessTarget(ADMIN, accounts[ACCOUNT], trust, is_trust=True))
        by_arn = {principal.arn: principal for principal in self.principals}
        population = StoredPrincipals((ACCOUNT, OTHER), by_arn, self.owners)
        return StoreAccess(population, accounts, tuple(targets), {}, partition=PARTITION)

    @property
    def may_be_tagged(self) -> bool:
        """Whether sessions of the role may have tags."""
        allowing = [statement for statement in self.trust["Statement"] if statement["Effect"] == "Allow"]
        return any({"sts:TagSession", "sts:*", "*"} & {*statement["Action"]} for statement in allowing)

    # --- requests ------------------------------------------------------------------------------------------------

    def acting(self, principal: StoredPrincipal) -> Iterator[Principal]:
        """Yield callers that act as a principal of the store."""
        caller = principal.record.principal
        if principal.kind != "role":
            yield caller
        else:
            for session in ("s1", "other"):
                arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/admin/{session}"
                found = replace(caller, arn=arn, userid=f"AROA1:{session}")
                yield found
                if self.may_be_tagged:
                    yield replace(found, tags={"team": "blue"})
        policies = self.documents.get(principal.arn, [])
        if principal.kind == "user" and any(map(_may_federate, policies)):
            for name in ("fed", "x"):
                arn = f"arn:aws:sts::{principal.account}:federated-user/{name}"
                yield Principal.from_arn(arn, user_arn=caller.arn, tags=caller.tags, has_boundary=caller.has_boundary)

    def contexts(self, caller: Principal, count: int) -> Iterator[Doc]:
        """Yield random values of the condition keys that a request supplies."""
        random = self.random
        for _ in range(count):
            context: Doc = {}
            for key in dict.fromkeys((*self.keys, "docs:Owner", "docs:Class", "docs:Names")):
                values = KEYS[key][2]
                is_of_service = key == "aws:SourceArn" and caller.type is not PrincipalType.SERVICE
                if values and not is_of_service and random.random() < 0.7:
                    value = random.choice(values)
                    if not (isinstance(value, list) and key.startswith("aws:")):
                        context[key] = value
            tag = random.choice([None, "red", "blue", "green"])
            yield context if tag is None else {**context, "aws:ResourceTag/team": tag}

    def decide(self, caller: Principal, action: str, resource: str, context: Doc) -> tuple[AccessRequest, bool]:
        """Return a request with all its keys, and whether the evaluator allows it with all policies of the store."""
        owner = self.owners.get(resource) or account_of(resource) or caller.account or ACCOUNT
        is_stored = caller.account in (ACCOUNT, OTHER) and caller.type is not PrincipalType.FEDERATED
        keys: Doc = {"aws:ResourceAccount": owner, **_organization("Resource", owner)}
        if is_stored:
            keys |= {**_organization("Principal", caller.account or ""), "aws:PrincipalIsAWSService": "false"}
        is_trust = resource == ADMIN and action.startswith("sts:")
        policy = ADMIN if is_trust else resource if resource in self.resource_policies else None
        name = caller.identity_arn if is_stored else ""
        is_own = action.partition(":")[0] in self.own_services
        policies = self._bundle(name, caller.type, caller.account == ACCOUNT, owner == ACCOUNT, policy, is_own)
        merged = {key.lower(): value for listed in (context, keys) for key, value in listed.items()}
        request = AccessRequest(caller, action, resource, merged, owner)
        return request, decide(request, policies).allowed

    def _bundle(
        self, name: str, kind: PrincipalType, has_scps: bool, has_rcps: bool, policy: str | None, is_own: bool
    ) -> Bundle:
        key = name, kind, has_scps, has_rcps, policy, is_own
        if key not in self._bundles:
            document: Any = self.trust if policy == ADMIN else self.resource_policies.get(policy or "")
            found = bundle(
                identity=self.documents.get(name, []) if name else [ALLOW_ALL],
                permissions_boundary=self.boundaries.get(name),
                session=[ALLOW_ALL] if kind is PrincipalType.FEDERATED_USER else None,
                scps=self.scps if has_scps else None,
                rcps=self.rcps if has_rcps else None,
            )
            of_resource = Bundle().resource if document is None else bundle(resource=document).resource
            self._bundles[key] = replace(found, resource=of_resource, own_service=is_own)
        return self._bundles[key]


def _may_federate(document: Doc) -> bool:
    compiled = bundle(identity=[document])
    [policy] = compiled.identity
    return any(not statement.denies for statement in policy.content.about("sts:getfederationtoken"))


def _organization(side: str, account: str) -> Doc:
    if account != ACCOUNT:
        return {}
    return {f"aws:{side}OrgID": "o-one", f"aws:{side}OrgPaths": ["o-one/r-1/ou-1/"]}


def _document(statement: Doc) -> Doc:
    return {"Version": "2012-10-17", "Statement": [statement]}


def _for_everyone(statement: Any) -> Doc:
    return _document({**statement, "Principal": "*"})


def _stored(statement: Doc) -> StoredPolicy:
    document = _document(statement)
    parse(document, PolicyType.IDENTITY)
    return StoredPolicy.of("the query", PolicyType.IDENTITY, None, json.dumps(document))


def _stored_levels(levels: list[list[Doc]] | None, type: PolicyType) -> tuple[tuple[StoredPolicy, ...], ...] | None:
    if levels is None:
        return None
    return tuple(
        tuple(StoredPolicy.of(str(type), type, None, json.dumps(document)) for document in level) for level in levels
    )
