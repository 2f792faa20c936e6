"""Chains of assumed roles, compared with a guard's decision on each step."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner

from iam_guard import Guard, Resource, open_guard
from iam_guard.analysis.access.access_answers import Ability, Access, AccessVerdict
from iam_guard.analysis.access.role_chains import MAX_ROLES
from iam_guard.analysis.access.what_can import what_can
from iam_guard.analysis.access.who_can import who_can
from iam_guard.cli import main
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.opening import open_store
from iam_guard.web.service import Service
from tests.authn.saml.identity_provider import IdentityProvider

ALLOWED, CONDITIONAL, DENIED = AccessVerdict
ACME, GLOBEX, ELSEWHERE = "111122223333", "444455556666", "777788889999"
PLAN = f"arn:aws:docs:us-east-1:{ACME}:document/plan"
GET, ASSUME = "docs:GetDocument", "sts:AssumeRole"


def document(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Resource": "*", **statement} for statement in statements],
    }


def arn(name: str, account: str = ACME) -> str:
    return f"arn:aws:iam::{account}:{name}"


def trust(*principals: str, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": ASSUME, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def user(name: str, *statements: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "inline": {"Own": document(*statements)} if statements else {}, **more}


def role(name: str, trusted: Mapping[str, Any], *statements: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {**user(name, *statements, **more), "trust": trusted}


def assume(*roles: str, **more: Any) -> dict[str, Any]:
    return {"Action": ASSUME, "Resource": [arn(f"role/{each}") for each in roles] or "*", **more}


READ = {"Action": "docs:Get*"}


class World:
    """|"""

    def __init__(self, folder: Path, *accounts: dict[str, Any], **organization: Any) -> None:
        self.path = folder / "iam.json"
        self.path.write_text(json.dumps({"version": 1, "accounts": accounts, **organization}))

    def who(self, action: str = GET, resource: str = PLAN, **more: Any) -> dict[str, Access]:
        store = open_store(str(self.path), Settings())
        try:
            return {
                _short(each.principal): each for each in who_can(store, action, resource, through_roles=True, **more)
            }
        finally:
            store.close()

    def can(self, principal: str, **more: Any) -> list[Ability]:
        store = open_store(str(self.path), Settings())
        try:
            return what_can(store, principal, through_roles=True, **more)
        finally:
            store.close()


def _short(principal: str) -> str:
    return principal.removeprefix(f"arn:aws:iam::{ACME}:")


def way(access: Access) -> list[str]:
    return [_short(step.role) for step in access.steps]


def acme(users: list[Any], roles: list[Any], **more: Any) -> dict[str, Any]:
    return {"id": ACME, "users": users, "roles": roles, **more}


def test_chain_of_roles_is_found(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        acme(
            [user("ada", assume("Deployer")), user("rita", READ), user("nils")],
            [
                role("Deployer", trust(arn("root")), assume("Admin")),
                role("Admin", trust(arn("root")), READ),
            ],
        ),
    )
    found = world.who()
    assert {name: (each.verdict, way(each)) for name, each in found.items()} == {
        "root": (ALLOWED, []),
        "user/rita": (ALLOWED, []),
        "role/Admin": (ALLOWED, []),
        "role/Deployer": (ALLOWED, ["role/Admin"]),
        "user/ada": (ALLOWED, ["role/Deployer", "role/Admin"]),
        "user/nils": (DENIED, []),
    }
    deployer, admin = found["user/ada"].steps
    assert [each.policy for each in deployer.answer.spoken] == [arn("role/Deployer"), "user/ada/Own"]
    assert [each.policy for each in admin.answer.spoken] == [arn("role/Admin"), "role/Deployer/Own"]
    assert [each.policy for each in found["user/ada"].answer.spoken] == ["role/Admin/Own"]


def test_chain_needs_both_policies(tmp_path: Path) -> None:
    """The principal's policies and the trust policy; boundaries and denials count at every step and at the end."""
    everybody = trust(arn("root"))
    only_read = {"name": "OnlyRead", "document": document(READ)}
    world = World(
        tmp_path,
        acme(
            [
                user("may", assume()),
                user("bound", assume(), boundary="OnlyRead"),
                user("denied", assume(), {"Effect": "Deny", "Action": "sts:*"}),
                user("silent"),
            ],
            [
                role("Open", everybody, assume("Strict"), READ),
                role("Strict", trust(arn("user/silent")), READ),
                role("Bound", everybody, {"Action": "*"}, boundary="Nothing"),
            ],
            policies=[only_read, {"name": "Nothing", "document": document({"Action": "mail:*"})}],
        ),
    )
    found = world.who()
    expected = {"may": ["role/Open"], "bound": [], "denied": [], "silent": ["role/Strict"]}
    assert {name: way(found[f"user/{name}"]) for name in expected} == expected
    assert [found[f"user/{name}"].verdict for name in expected] == [ALLOWED, DENIED, DENIED, ALLOWED]


def test_user_named_in_trust_policy_needs_no_policy(tmp_path: Path) -> None:
    """E-42: a trust policy that names a user of its account is sufficient."""
    world = World(tmp_path, acme([user("silent")], [role("R", trust(arn("user/silent")), READ)]))
    assert way(world.who()["user/silent"]) == ["role/R"]


def test_cycle_of_roles_ends(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        acme(
            [user("ada", assume("A"))],
            [
                role("A", trust(arn("root")), assume("B", "A")),
                role("B", trust(arn("root")), assume("A", "C")),
                role("C", trust(arn("role/B")), READ),
            ],
        ),
    )
    assert way(world.who()["user/ada"]) == ["role/A", "role/B", "role/C"]
    assert {tuple(_short(step.role) for step in each.steps) for each in world.can(arn("user/ada"))} == {
        (),
        ("role/A",),
        ("role/A", "role/B"),
        ("role/A", "role/B", "role/C"),
    }


def test_chain_is_limited_in_length(tmp_path: Path) -> None:
    names = [f"R{number:02}" for number in range(MAX_ROLES + 2)]
    links = [role(name, trust(arn("root")), assume(after)) for name, after in pairwise(names)]
    world = World(
        tmp_path,
        acme(
            [user("far", assume(names[0])), user("near", assume(names[2]))],
            [*links, role(names[-1], trust(arn("root")), READ)],
        ),
    )
    found = world.who()
    assert (found["user/far"].verdict, found["user/near"].verdict) == (DENIED, ALLOWED)
    assert len(found["user/near"].steps) == MAX_ROLES


def test_chain_names_open_keys_of_steps(tmp_path: Path) -> None:
    """One conditional step makes the chain conditional; the more certain chain wins, then the shorter."""
    from_office = {"Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}}
    with_id = {"Condition": {"StringEquals": {"sts:ExternalId": "x"}}}
    world = World(
        tmp_path,
        acme(
            [user("ada", assume("Short", "Long"))],
            [
                role("Short", trust(arn("root"), **with_id), READ | from_office),
                role("Long", trust(arn("root")), assume("End")),
                role("End", trust(arn("role/Long")), READ | from_office),
            ],
        ),
    )
    found = world.who()["user/ada"]
    assert (found.verdict, way(found)) == (CONDITIONAL, ["role/Short"])
    assert set(found.answer.open_keys) == {"sts:ExternalId", "aws:SourceIp"}
    sure = world.who(context={"aws:SourceIp": "203.0.113.7"})["user/ada"]
    assert (sure.verdict, way(sure)) == (ALLOWED, ["role/Long", "role/End"])


def test_resource_keys_do_not_apply_to_steps(tmp_path: Path) -> None:
    """Nor do keys of the caller, which is another one at each step."""
    by_tag = {"Condition": {"StringEquals": {"aws:ResourceTag/team": "blue"}}}
    with_mfa = {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}
    world = World(
        tmp_path,
        acme(
            [user("tagged", assume("R") | by_tag), user("mfa", assume("R") | with_mfa)],
            [role("R", trust(arn("root")), READ, tags={"team": "red"})],
        ),
    )
    found = world.who(context={"aws:ResourceTag/team": "blue", "aws:MultiFactorAuthPresent": "true"})
    assert found["user/tagged"].verdict is DENIED
    assert (found["user/mfa"].verdict, found["user/mfa"].answer.open_keys) == (
        CONDITIONAL,
        ("aws:MultiFactorAuthPresent",),
    )


def test_chain_across_accounts(tmp_path: Path) -> None:
    """Both accounts must allow; the policies of an account outside the store are unknown."""
    globex = {
        "id": GLOBEX,
        "users": [user("gus", assume_all := {"Action": ASSUME}), user("idle")],
        "roles": [role("Bridge", trust(arn("root", GLOBEX)), assume_all)],
    }
    world = World(
        tmp_path,
        acme(
            [],
            [
                role("Shared", trust(arn("role/Bridge", GLOBEX), arn("root", ELSEWHERE)), READ),
                role(
                    "ForService",
                    {
                        "Version": "2012-10-17",
                        "Statement": [
                            {"Effect": "Allow", "Principal": {"Service": "build.example.com"}, "Action": ASSUME}
                        ],
                    },
                    READ,
                ),
            ],
        ),
        globex,
    )
    found = world.who()
    gus, elsewhere = found[arn("user/gus", GLOBEX)], found[arn("root", ELSEWHERE)]
    assert (gus.verdict, way(gus)) == (ALLOWED, [arn("role/Bridge", GLOBEX), "role/Shared"])
    assert (elsewhere.verdict, elsewhere.kind, way(elsewhere)) == (CONDITIONAL, "account", ["role/Shared"])
    assert "not in this store" in (elsewhere.answer.note or "")
    assert found[arn("user/idle", GLOBEX)].verdict is DENIED
    assert (found["build.example.com"].verdict, found["build.example.com"].kind) == (ALLOWED, "service")


def test_organization_policies_apply_to_steps(tmp_path: Path) -> None:
    no_sts = {"name": "NoSts", "type": "SCP", "document": document({"Effect": "Deny", "Action": ASSUME})}
    organization = {
        "id": "o-exampleorg1",
        "management_account": "999900000000",
        "policies": [no_sts],
        "units": [{"name": "tenants", "scps": ["FullAWSAccess", "NoSts"], "accounts": [ACME]}],
    }
    world = World(
        tmp_path,
        acme([user("ada", assume())], [role("R", trust(arn("root")), READ)]),
        {"id": "999900000000"},
        organization=organization,
    )
    assert world.who()["user/ada"].verdict is DENIED


def test_named_session_is_conditional(tmp_path: Path) -> None:
    """In the trust policy of a role, or in the policy of the resource."""
    session = f"arn:aws:sts::{ACME}:assumed-role/Deployer/release"
    world = World(
        tmp_path,
        acme(
            [user("ada", assume("Deployer"))],
            [role("Deployer", trust(arn("root")), assume("Admin")), role("Admin", trust(session), READ)],
            resources=[
                {
                    "arn": f"{PLAN}-2",
                    "policy": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {"Effect": "Allow", "Principal": {"AWS": session}, "Action": GET, "Resource": "*"}
                        ],
                    },
                }
            ],
        ),
    )
    for resource, roles in ((PLAN, ["role/Deployer", "role/Admin"]), (f"{PLAN}-2", ["role/Deployer"])):
        ada = world.who(resource=resource)["user/ada"]
        assert (ada.verdict, way(ada), ada.answer.note) == (CONDITIONAL, roles, "its session is called release")
    ways = {tuple(_short(step.role) for step in each.steps): each.answer for each in world.can(arn("user/ada"))}
    assert ways["role/Deployer", "role/Admin"].verdict is CONDITIONAL


def test_root_and_unsigned_callers_assume_no_role(tmp_path: Path) -> None:
    """STS refuses them, whatever the trust policy says."""
    world = World(tmp_path, acme([], [role("R", trust("*"), {"Action": "mail:Send"})]))
    found = world.who("mail:Send", "*")
    assert way(found["root"]) == []
    assert "anonymous" not in found or found["anonymous"].verdict is DENIED
    assert found["*"].verdict is CONDITIONAL
    assert not any(each.steps for each in world.can(arn("root")))


# --- identities that are proved elsewhere ----------------------------------------------------------------------------

TOKEN = "token.example.com"
PROVIDER = arn(f"oidc-provider/{TOKEN}")
BY_TOKEN = "sts:AssumeRoleWithWebIdentity"


def vouched(provider: str = PROVIDER, principal: Any = None, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": principal or {"Federated": provider}, "Action": BY_TOKEN, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def registered(*hosts: str) -> dict[str, Any]:
    return {"oidc_providers": [{"url": f"https://{host}", "client_ids": ["app"]} for host in hosts]}


def test_users_of_oidc_provider_get_roles(tmp_path: Path) -> None:
    """And the roles that these may assume, under the conditions of the trust policy, mostly about the token."""
    of_main = {"Condition": {"StringEquals": {f"{TOKEN}:sub": "repo:acme/app:main"}}}
    from_it = {"Condition": {"StringEquals": {"aws:FederatedProvider": PROVIDER}}}
    roles = [
        role("Build", vouched(**of_main), assume("Release")),
        role("Release", trust(arn("root")), READ),
        role("Any", vouched(**from_it), {"Action": "mail:Send"}),
    ]
    world = World(tmp_path, acme([], roles, **registered(TOKEN)))
    found = world.who()[f"oidc-provider/{TOKEN}"]
    assert (found.kind, found.verdict, way(found)) == ("identity provider", CONDITIONAL, ["role/Build", "role/Release"])
    assert found.answer.open_keys == (f"{TOKEN}:sub",)
    for subject, verdict in (("repo:acme/app:main", ALLOWED), ("repo:evil/app:main", DENIED)):
        known = world.who(context={f"{TOKEN}:sub": subject}).get(f"oidc-provider/{TOKEN}")
        assert (DENIED if known is None else known.verdict) is verdict
    sending = world.who("mail:Send", "*")[f"oidc-provider/{TOKEN}"]
    assert (sending.verdict, way(sending)) == (ALLOWED, ["role/Any"])


def test_users_of_saml_provider_get_roles(tmp_path: Path) -> None:
    """By the action for assertions only, under the conditions of the trust policy."""
    company = arn("saml-provider/company")
    by_saml = {"Action": "sts:AssumeRoleWithSAML"}
    of_ada = {"Condition": {"StringEquals": {"SAML:sub": "ada"}}}
    roles = [
        role("Reader", vouched(company, **by_saml, **of_ada), READ),
        role("ByToken", vouched(company), {"Action": "mail:Send"}),
    ]
    own = {"saml_providers": [{"name": "company", "metadata": IdentityProvider().metadata()}]}
    world = World(tmp_path, acme([], roles, **own))
    found = world.who()["saml-provider/company"]
    assert (found.verdict, found.answer.open_keys, way(found)) == (CONDITIONAL, ("SAML:sub",), ["role/Reader"])
    assert world.who(context={"saml:sub": "ada"})["saml-provider/company"].verdict is ALLOWED
    assert "saml-provider/company" not in world.who("mail:Send", "*")


def test_unusable_provider_gets_no_role(tmp_path: Path) -> None:
    """One not registered in the role's account, a SAML provider, or one for another action."""
    roles = [
        role("NotThere", vouched(arn("oidc-provider/gone.example.com")), READ),
        role("OfOthers", vouched(arn(f"oidc-provider/{TOKEN}", GLOBEX)), READ),
        role("Wrong", {**vouched(), "Statement": [{**vouched()["Statement"][0], "Action": ASSUME}]}, READ),
        role("Saml", vouched(arn("saml-provider/Corp"), Action="sts:AssumeRoleWithSAML"), READ),
        role("Mute", vouched(arn("oidc-provider/mute.example.com")), READ),
    ]
    mute = {"url": "https://mute.example.com", "client_ids": []}
    own = registered(TOKEN)["oidc_providers"]
    world = World(tmp_path, acme([], roles, oidc_providers=[*own, mute]), {"id": GLOBEX, **registered(TOKEN)})
    assert not [each for each in world.who().values() if each.kind == "identity provider"]


def test_public_trust_policy_trusts_all_providers(tmp_path: Path) -> None:
    everybody = role("Open", vouched(principal="*"), READ)
    accounts = acme([], [everybody], **registered(TOKEN, "other.example.com"))
    found = World(tmp_path, accounts, {"id": GLOBEX, **registered("third.example.com")}).who()
    providers = {name for name, each in found.items() if each.kind == "identity provider" and each.verdict is ALLOWED}
    assert providers == {f"oidc-provider/{TOKEN}", "oidc-provider/other.example.com"}


def test_provider_key_of_question_applies(tmp_path: Path) -> None:
    """`aws:FederatedProvider` comes with each token."""
    from_it = {"Condition": {"StringEquals": {"aws:FederatedProvider": PROVIDER}}}
    world = World(tmp_path, acme([], [role("Any", vouched(**from_it), READ)], **registered(TOKEN)))
    assert world.who(BY_TOKEN, arn("role/Any"))[f"oidc-provider/{TOKEN}"].verdict is ALLOWED


# --- the naive search --------------------------------------------------------------------------------------------


def random_world(folder: Path, chance: Random) -> tuple[World, dict[str, Any]]:
    """A seed without conditions, so that each answer is yes or no."""
    users, roles = ["ada", "rita", "nils"], ["R1", "R2", "R3", "R4"]
    accounts = (ACME, GLOBEX)
    everybody = [arn(f"user/{name}", account) for account in accounts for name in users]
    every_role = [arn(f"role/{name}", account) for account in accounts for name in roles]
    named = [*everybody, *every_role, *(arn("root", account) for account in accounts), "*"]

    def statements() -> list[dict[str, Any]]:
        found = [{"Action": ASSUME, "Resource": chance.choice([*every_role, "*"])} for _ in range(chance.randrange(3))]
        if chance.random() < 0.2:
            found.append(READ)
        if chance.random() < 0.15:
            found.append(
                {
                    "Effect": "Deny",
                    "Action": chance.choice([ASSUME, GET]),
                    "Resource": chance.choice([*every_role, "*"]),
                }
            )
        return found

    def bounded() -> dict[str, Any]:
        return {"boundary": chance.choice(["OnlySts", "OnlyDocs"])} if chance.random() < 0.2 else {}

    def trusted() -> dict[str, Any]:
        made = trust(*chance.sample(named, chance.randrange(1, 3)))
        if chance.random() < 0.15:
            denied = {"Effect": "Deny", "Principal": {"AWS": chance.choice(named)}, "Action": ASSUME}
            made["Statement"].append(denied)
        return made

    trusts: dict[str, Any] = {}
    made = []
    for account in accounts:
        for name in roles:
            trusts[arn(f"role/{name}", account)] = trusted()
        policies = [
            {"name": f"Only{each.title()}", "document": document({"Action": f"{each}:*"})} for each in ("sts", "docs")
        ]
        own = [user(name, *statements(), **bounded()) for name in users]
        theirs = [role(name, trusts[arn(f"role/{name}", account)], *statements(), **bounded()) for name in roles]
        made.append({"id": account, "users": own, "roles": theirs, "policies": policies})
    return World(folder, *made), trusts


def principal_of(arn_of: str) -> Principal:
    """Return a user, or a session of a role."""
    account, _, name = arn_of.removeprefix("arn:aws:iam::").partition(":")
    if name.startswith("user/"):
        return Principal.from_arn(arn_of)
    return Principal.from_arn(
        f"arn:aws:sts::{account}:assumed-role/{name.removeprefix('role/')}/shift", role_arn=arn_of
    )


def reachable_principals(guard: Guard, trusts: Mapping[str, Any], start: str) -> Iterator[str]:
    """Return every principal that `start` can become by assuming roles, itself included, with a naive search."""
    seen, waiting = {start}, [start]
    while waiting:
        current = waiting.pop()
        yield current
        for role_arn, policy in trusts.items():
            account = role_arn.split(":")[4]
            wanted = Resource(role_arn, account=account, policy=policy)
            if (
                role_arn not in seen
                and guard.decide(principal_of(current), ASSUME, wanted, {"sts:RoleSessionName": "shift"}).allowed
            ):
                seen.add(role_arn)
                waiting.append(role_arn)


@pytest.mark.parametrize("number", range(12))
def test_answers_agree_with_naive_search(tmp_path: Path, number: int) -> None:
    world, trusts = random_world(tmp_path, Random(number))
    found = world.who()
    guard = open_guard(str(world.path), services=[Service("docs")])
    try:
        for start in [*(each for each in found if "user/" in each), *map(_short, trusts)]:
            whole = start if start.startswith("arn:") else arn(start)
            becomes = set(reachable_principals(guard, trusts, whole))
            able = any(guard.decide(principal_of(become), GET, PLAN).allowed for become in becomes)
            assert found[start].verdict is (ALLOWED if able else DENIED), whole
            if "user/" in start:
                assert {each.steps[-1].role for each in world.can(whole) if each.steps} == becomes - {whole}
    finally:
        guard.close()


# --- the command line --------------------------------------------------------------------------------------------


def test_commands_show_chain(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        acme(
            [user("ada", assume("Deployer"))],
            [
                role("Deployer", trust(arn("root")), assume("Admin")),
                role("Admin", trust(arn("root")), READ),
            ],
        ),
    )
    run = lambda *arguments: CliRunner().invoke(main, [*arguments, "--store", str(world.path)])  # noqa: E731
    assert "user/ada" not in run("who-can", GET, PLAN).output
    lines = run("who-can", GET, PLAN, "--through-roles").output.splitlines()
    at = next(number for number, line in enumerate(lines) if "user/ada" in line)
    assert [line[13:] for line in lines[at + 1 : at + 7]] == [
        "user/ada -> role/Deployer -> role/Admin",
        f"  role/Deployer: by Allow #1 of {arn('role/Deployer')} (resource-based policy)",
        "  role/Deployer: by Allow #1 of user/ada/Own (identity-based policy)",
        f"  role/Admin: by Allow #1 of {arn('role/Admin')} (resource-based policy)",
        "  role/Admin: by Allow #1 of role/Deployer/Own (identity-based policy)",
        "by Allow #1 of role/Admin/Own (identity-based policy)",
    ]
    (ada,) = [
        load
        for load in json.loads(run("who-can", GET, PLAN, "--through-roles", "--json").output)
        if "ada" in load["principal"]
    ]
    assert [each["role"] for each in ada["through_roles"]] == [arn("role/Deployer"), arn("role/Admin")]
    can = run("what-can", arn("user/ada"), "--through-roles").output
    assert "user/ada -> role/Deployer -> role/Admin\n" in can
    assert "->" not in run("what-can", arn("user/ada")).output
