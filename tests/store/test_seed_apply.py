"""Applying a seed: the store gets the declared state, or is unchanged (rules T-3, G-75, P-5, P-8)."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from iam_guard.errors import SeedError
from iam_guard.model.principal import Principal
from iam_guard.store import schema
from iam_guard.store.database.engine import reading
from iam_guard.store.identifiers import derived_id
from iam_guard.store.seed import Changes, apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore

ACME, GLOBEX = "111122223333", "444455556666"
ALLOW = '{Version: 2012-10-17, Statement: [{Effect: Allow, Action: "docs:%s", Resource: "*"}]}'
TRUST = '{Statement: [{Effect: Allow, Principal: {AWS: "%s"}, Action: "sts:AssumeRole"}]}'


def apply(store: SqlStore, *accounts: str, top: str = "", prune: bool = False, whole: bool = False) -> Changes:
    """Apply a seed of these accounts, each the flow-style inside of a mapping."""
    text = f"{{version: 1, {top} accounts: [{', '.join('{' + account + '}' for account in accounts)}]}}"
    return apply_seed(store, load_seed_text(text, environment={}), prune=prune, whole=whole)


def acme(inside: str) -> str:
    return f'id: "{ACME}", {inside}'


def user(store: SqlStore, name: str = "alice", account: str = ACME) -> list[str] | None:
    """Return the names of a user's policies; None if the user does not exist."""
    record = store.principal(Principal.from_arn(f"arn:aws:iam::{account}:user/{name}"))
    return [policy.ref.name for policy in record.identity] if record.exists else None


def rows(store: SqlStore) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of the store without its epoch, its change feed and creation times."""
    with reading(store.engine) as connection:
        return {
            table.name: sorted(
                (tuple(value for name, value in row.items() if name != "created") for row in found), key=repr
            )
            for table in schema.metadata.sorted_tables
            if table.name not in ("meta", "changes")
            for found in [connection.execute(select(table)).mappings().all()]
        }


def test_apply_reports_created_entities(empty: SqlStore, seed_text: str) -> None:
    """Applying reports what was created, and increments the epoch once."""
    before = empty.epoch()
    changes = apply_seed(empty, load_seed_text(seed_text))
    assert changes.epoch == empty.epoch() == before + 1
    created = (f"user arn:aws:iam::{ACME}:user/staff/alice", "policy arn:aws:iam::aws:policy/docs/DocsReader")
    assert {f"created {each}" for each in (*created, "organization o-exampleorg")} <= set(changes.lines)
    assert str(changes) == "\n".join(changes.lines)


@pytest.mark.parametrize("how", [{}, {"prune": True}, {"whole": True}])
def test_apply_again_changes_nothing(empty: SqlStore, seed_text: str, how: dict[str, bool]) -> None:
    """Applying the same seed again changes nothing, not even the epoch (T-9)."""
    apply_seed(empty, load_seed_text(seed_text))
    before, epoch = rows(empty), empty.epoch()
    changes = apply_seed(empty, load_seed_text(seed_text), **how)
    assert (bool(changes), changes.lines, str(changes)) == (False, (), "no changes")
    assert (empty.epoch(), changes.epoch) == (epoch, epoch)
    assert rows(empty) == before


def test_declared_user_loses_undeclared_parts(empty: SqlStore) -> None:
    """Policies, groups, tags, boundary and keys that are not in a user's declaration are deleted."""
    full = (
        f"policies: [{{name: P, document: {ALLOW % '*'}}}], groups: [{{name: g, attached: [P]}}],"
        f"users: [{{name: alice, groups: [g], attached: [P], inline: {{I: {ALLOW % 'Get*'}}}, boundary: P,"
        f"tags: {{a: b}}, access_keys: [{{id: AKIA, secret: s}}], api_keys: [{{id: abcd, digest: {'0' * 64}}}]}}]"
    )
    apply(empty, acme(full))
    assert user(empty) == ["P", "P", "user/alice/I"]
    changes = apply(empty, acme("users: [{name: alice}]"))
    parts = "API keys, access keys, attached policies, groups, inline policies, permissions boundary, tags"
    assert changes.lines == (f"updated user arn:aws:iam::{ACME}:user/alice: {parts}",)
    record = empty.principal(Principal.from_arn(f"arn:aws:iam::{ACME}:user/alice"))
    assert (record.identity, record.boundary, dict(record.principal.tags)) == ((), None, {})
    assert empty.access_key("AKIA") is None
    assert empty.api_key("abcd") is None


def test_undeclared_entities_stay_without_prune(empty: SqlStore) -> None:
    """Without pruning, accounts, users, groups, roles, policies and resources outside of the seed stay."""
    resource = f"arn:aws:docs::{ACME}:x"
    apply(empty, acme(f"users: [{{name: bob, inline: {{I: {ALLOW % '*'}}}}}], resources: [{{arn: '{resource}'}}]"))
    apply(empty, f'id: "{GLOBEX}", users: [{{name: eve}}]')
    apply(empty, acme("users: [{name: alice}]"))
    assert user(empty, "bob") == ["user/bob/I"]
    assert user(empty, "eve", GLOBEX) == []
    assert empty.resource(resource).account == ACME


def test_prune_deletes_undeclared_entities(empty: SqlStore) -> None:
    """In the accounts of the seed, and nothing elsewhere."""
    everything = (
        f"policies: [{{name: P, document: {ALLOW % '*'}}}], groups: [{{name: g, attached: [P]}}],"
        f"users: [{{name: bob, groups: [g], boundary: P, access_keys: [{{id: AKIABOB, secret: s}}]}}],"
        f"roles: [{{name: r, trust: {TRUST % ACME}}}], resources: [{{arn: 'arn:aws:docs::{ACME}:x'}}]"
    )
    apply(empty, acme(everything))
    shared = f"aws_policies: [{{name: A, document: {ALLOW % '*'}}}],"
    apply(empty, f'id: "{GLOBEX}", users: [{{name: eve}}]', top=shared)
    changes = apply(empty, acme("users: [{name: alice}]"), prune=True)
    assert set(changes.lines) == {
        f"created user arn:aws:iam::{ACME}:user/alice",
        f"deleted user arn:aws:iam::{ACME}:user/bob",
        f"deleted group arn:aws:iam::{ACME}:group/g",
        f"deleted role arn:aws:iam::{ACME}:role/r",
        f"deleted policy arn:aws:iam::{ACME}:policy/P",
        f"deleted resource arn:aws:docs::{ACME}:x",
    }
    assert user(empty, "bob") is None
    assert empty.access_key("AKIABOB") is None
    assert user(empty, "eve", GLOBEX) == []
    assert not apply(empty, acme("users: [{name: alice, attached: [A]}]"), prune=True).lines[1:]


def test_required_factor_stays_unless_the_seed_says_otherwise(empty: SqlStore) -> None:
    """An administrator may have set it since; the complete state of a file that serves as the store has none."""

    def is_required() -> bool:
        with empty.read_transaction() as records:
            return bool(records.all(schema.accounts, id=ACME)[0]["requires_mfa"])

    for inside, options, expected in (
        ("require_mfa: true", {}, True),
        ("name: acme", {}, True),
        ("name: acme", {"prune": True}, True),
        ("require_mfa: false", {}, False),
        ("name: acme", {}, False),
        ("require_mfa: true", {"whole": True}, True),
        ("name: acme", {"whole": True}, False),
    ):
        apply(empty, acme(inside), **options)
        assert is_required() is expected, (inside, options)
    changes = apply(empty, acme("require_mfa: true"))
    assert changes.lines == (f"updated account {ACME}: name, second factor required",)


def test_whole_seed_leaves_only_builtin_rows(empty: SqlStore, seed_text: str) -> None:
    """An empty whole seed leaves only what every new store contains."""
    before = rows(empty)
    apply_seed(empty, load_seed_text(seed_text))
    changes = apply(empty, whole=True)
    assert {f"deleted account {ACME}", "deleted organization o-exampleorg"} <= set(changes.lines)
    assert rows(empty) == before


def test_pruned_policy_cannot_be_used(empty: SqlStore) -> None:
    """A policy that would be pruned can't be attached by the same seed, and then stays (all or nothing)."""
    apply(empty, acme(f"policies: [{{name: P, document: {ALLOW % '*'}}}]"))
    with pytest.raises(SeedError, match="no managed policy `P`"):
        apply(empty, acme("users: [{name: alice, attached: [P]}]"), prune=True)
    assert apply(empty, acme("users: [{name: alice, attached: [P]}]")).lines


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        ("users: [{name: a, attached: [None]}]", f"no managed policy `None` in account {ACME}"),
        (f"users: [{{name: a, attached: ['arn:aws:iam::{ACME}:policy/None']}}]", "no managed policy"),
        (f"users: [{{name: a, attached: ['arn:aws:iam::{GLOBEX}:policy/P']}}]", "no managed policy"),
        ("users: [{name: a, attached: ['arn:aws:iam::aws:policy/x/AdministratorAccess']}]", "no managed policy"),
        ("users: [{name: a, boundary: None}]", "no managed policy `None`"),
        ("users: [{name: a, groups: [none]}]", f"no group `none` in account {ACME}"),
        ("users: [{name: a, groups: [a]}]", "no group `a`"),
        (f"roles: [{{name: r, trust: {TRUST % f'arn:aws:iam::{ACME}:user/no'}}}]", f'"AWS":"arn:aws:iam::{ACME}'),
        (f"roles: [{{name: r, trust: {TRUST % f'arn:aws:iam::{ACME}:role/R'}}}]", "Invalid principal in policy"),
        (f"roles: [{{name: r, trust: {TRUST % f'arn:aws:iam::{GLOBEX}:user/eve2'}}}]", "Invalid principal in policy"),
        (f"resources: [{{arn: 'arn:aws:docs::{GLOBEX}:x'}}]", "expected a resource of account"),
        ("resources: [{arn: 'arn:aws:docs:::shared'}]", f"belongs to account {GLOBEX}"),
        ("users: [{name: a, access_keys: [{id: AKIAEVE, secret: s}]}]", "access key `AKIAEVE` belongs to"),
        ("root: {access_keys: [{id: AKIAEVE, secret: s}]}", "the access key `AKIAEVE` belongs to another principal"),
        (f"users: [{{name: a, api_keys: [{{id: eve1, digest: {'0' * 64}}}]}}]", "API key `eve1` belongs to"),
        ("alias: globex", f"the alias `globex` belongs to account {GLOBEX}"),
    ],
)  # fmt: skip
def test_seed_with_invalid_reference_changes_nothing(empty: SqlStore, inside: str, words: str) -> None:
    """Errors that only the store can detect are reported, and nothing is changed (P-8)."""
    other_account = (
        f"alias: globex, policies: [{{name: P, document: {ALLOW % '*'}}}],"
        "resources: [{arn: 'arn:aws:docs:::shared'}], users: [{name: eve,"
        f"access_keys: [{{id: AKIAEVE, secret: s}}], api_keys: [{{id: eve1, digest: {'0' * 64}}}]}}]"
    )
    apply(empty, f'id: "{GLOBEX}", {other_account}')
    before, epoch = rows(empty), empty.epoch()
    with pytest.raises(SeedError) as caught:
        apply(empty, acme(f"name: changed, {inside}"))
    assert words in "".join(caught.value.problems)
    assert (rows(empty), empty.epoch()) == (before, epoch)


def test_keys_move_between_declared_users(empty: SqlStore) -> None:
    """A key may move from one user of the seed to another, or to the root user."""
    apply(empty, acme("users: [{name: alice, access_keys: [{id: AKIA, secret: s}]}, {name: bob}]"))
    apply(empty, acme("users: [{name: alice}, {name: bob, access_keys: [{id: AKIA, secret: s}]}]"))
    key = empty.access_key("AKIA")
    assert key is not None
    assert key.principal.name == "bob"
    changes = apply(empty, acme("root: {access_keys: [{id: AKIA, secret: s}]}, users: [{name: alice}, {name: bob}]"))
    assert f"updated root user of account {ACME}: access keys" in changes.lines
    key = empty.access_key("AKIA")
    assert key is not None
    assert key.principal.arn == f"arn:aws:iam::{ACME}:root"


def test_secret_and_status_of_key_can_change(empty: SqlStore) -> None:
    """A changed secret or status is a change; the same secret is none, although it could be sealed differently."""
    apply(empty, acme("users: [{name: alice, access_keys: [{id: AKIA, secret: old}]}]"))
    assert apply(empty, acme("users: [{name: alice, access_keys: [{id: AKIA, secret: new}]}]"))
    assert not apply(empty, acme("users: [{name: alice, access_keys: [{id: AKIA, secret: new}]}]"))
    assert apply(empty, acme("users: [{name: alice, access_keys: [{id: AKIA, secret: new, status: Inactive}]}]"))
    key = empty.access_key("AKIA")
    assert key is not None
    assert (key.secret, key.active) == ("new", False)


def test_changed_policy_gets_new_default_version(empty: SqlStore) -> None:
    """Of more than five versions, the oldest is deleted (G-75)."""
    for number in range(8):
        policy = f"policies: [{{name: P, document: {ALLOW % f'Get{number}'}}}]"
        changes = apply(empty, acme(f"{policy}, users: [{{name: alice, attached: [P]}}]"))
        if number:
            assert changes.lines == (f"updated policy arn:aws:iam::{ACME}:policy/P: document",)
    with reading(empty.engine) as connection:
        of_account = select(schema.policies.c.id).where(schema.policies.c.account == ACME).scalar_subquery()
        found = select(schema.policy_versions.c.version).where(schema.policy_versions.c.policy_id == of_account)
        versions = connection.execute(found).scalars().all()
    assert sorted(versions) == [4, 5, 6, 7, 8]
    record = empty.principal(Principal.from_arn(f"arn:aws:iam::{ACME}:user/alice"))
    assert "docs:Get7" in record.identity[0].text


def test_unique_id_stays_until_deletion(empty: SqlStore) -> None:
    """Also when the path or the case of the name changes; a re-created entity gets a new one (P-6)."""

    def id_of(path_and_name: str) -> str | None:
        return empty.principal(Principal.from_arn(f"arn:aws:iam::{ACME}:user{path_and_name}")).principal.userid

    apply(empty, acme("users: [{name: alice}]"))
    first = id_of("/alice")
    apply(empty, acme("users: [{name: Alice, path: /staff/}]"))
    assert id_of("/staff/Alice") == first
    assert id_of("/alice") is None
    apply(empty, acme("name: acme"), prune=True)
    apply(empty, acme("users: [{name: alice}]"))
    assert id_of("/alice") not in (None, first)


def test_resource_policy_is_bound_to_unique_id(empty: SqlStore) -> None:
    """A principal of the same name that is created later does not match (P-5, P-6)."""
    arn, bob = f"arn:aws:docs::{GLOBEX}:x", f"arn:aws:iam::{ACME}:user/bob"
    policy = (
        f"{{Version: 2012-10-17, Statement: [{{Effect: Allow, Principal: {{AWS: '{bob}'}}, Action: 'docs:Get', "
        f"Resource: '*', Condition: {{ArnEquals: {{'aws:PrincipalArn': '{bob}'}}}}}}]}}"
    )

    def principal_and_condition() -> tuple[str, str]:
        stored = empty.resource(arn).policy
        assert stored is not None
        [statement] = json.loads(stored.text)["Statement"]
        return statement["Principal"]["AWS"], statement["Condition"]["ArnEquals"]["aws:PrincipalArn"]

    globex = f"id: '{GLOBEX}', resources: [{{arn: '{arn}', policy: {policy}}}]"
    apply(empty, acme("users: [{name: bob}]"), globex)
    bobs_id = empty.principal(Principal.from_arn(bob)).principal.userid
    assert principal_and_condition() == (bob, bob)
    apply(empty, acme("users: [{name: bob, path: /moved/}]"))
    assert principal_and_condition() == (f"arn:aws:iam::{ACME}:user/moved/bob", bob)  # P-9, P-10
    apply(empty, acme("name: acme"), prune=True)
    assert principal_and_condition() == (bobs_id, bob)
    apply(empty, acme("users: [{name: bob}]"))
    assert principal_and_condition() == (bobs_id, bob)
    apply(empty, globex)  # saved again, so it is bound to the current bob
    assert principal_and_condition() == (bob, bob)


def test_unknown_account_can_be_principal_but_not_its_users(empty: SqlStore) -> None:
    """An account outside of the store may be named; its users and roles may not (P-8)."""
    apply(empty, acme(f"roles: [{{name: r, trust: {TRUST % 'arn:aws:iam::999999999999:root'}}}]"))
    for elsewhere in ("role/deploy", "user/ci"):
        with pytest.raises(SeedError, match="Invalid principal in policy"):
            apply(empty, acme(f"roles: [{{name: r, trust: {TRUST % f'arn:aws:iam::999999999999:{elsewhere}'}}}]"))


def test_new_roles_can_trust_each_other(empty: SqlStore) -> None:
    """The order in a seed is irrelevant: two new roles of two accounts may name each other."""
    apply(
        empty,
        acme(f"roles: [{{name: a, trust: {TRUST % f'arn:aws:iam::{GLOBEX}:role/b'}}}]"),
        f"id: '{GLOBEX}', roles: [{{name: b, trust: {TRUST % f'arn:aws:iam::{ACME}:role/a'}}}]",
    )


def test_policy_name_prefers_account_over_aws(empty: SqlStore) -> None:
    """A name refers to the account's own policy if there is one, else to AWS's; an ARN is exact."""
    own = f"policies: [{{name: AdministratorAccess, document: {ALLOW % 'Get*'}}}]"
    aws = "arn:aws:iam::aws:policy/AdministratorAccess"
    apply(empty, acme(f"{own}, users: [{{name: alice, attached: [administratoraccess, '{aws}']}}]"))
    record = empty.principal(Principal.from_arn(f"arn:aws:iam::{ACME}:user/alice"))
    assert {policy.ref.arn for policy in record.identity} == {aws, f"arn:aws:iam::{ACME}:policy/AdministratorAccess"}


def test_policy_of_another_account_cannot_be_attached(empty: SqlStore) -> None:
    """Not even by ARN (G-38)."""
    globex = f"id: '{GLOBEX}', policies: [{{name: P, document: {ALLOW % '*'}}}]"
    for use in ("attached: ['{arn}']", "boundary: '{arn}'"):
        foreign = use.format(arn=f"arn:aws:iam::{GLOBEX}:policy/P")
        with pytest.raises(SeedError, match="no managed policy"):
            apply(empty, globex, acme(f"users: [{{name: alice, {foreign}}}]"))


def organization(inside: str, id: str = "o-exampleorg", management: str = "999900000000") -> str:
    return f"organization: {{id: {id}, management_account: '{management}', {inside}}},"


DENY_ALL = "{Version: 2012-10-17, Statement: [{Effect: Deny, Action: '*', Resource: '*'}]}"
DENY = f"policies: [{{name: D, type: SCP, document: {DENY_ALL}}}]"


def test_organization_without_control_policies_disables_types(empty: SqlStore) -> None:
    """An organization without control policies has both types disabled (E-14)."""
    apply(empty, acme(""), top=organization(f"accounts: ['{ACME}']"))
    record = empty.account(ACME)
    assert (record.scps, record.rcps) == (None, None)
    assert str(record.organization and record.organization.path).startswith("o-exampleorg/r-")


def test_list_of_scps_is_exact(empty: SqlStore) -> None:
    """A level that leaves out FullAWSAccess allows nothing by itself (E-12)."""
    apply(empty, acme(""), top=organization(f"{DENY}, scps: [D], accounts: ['{ACME}']"))
    scps = empty.account(ACME).scps
    assert scps is not None
    assert [[policy.ref.name for policy in level] for level in scps] == [["D"], ["FullAWSAccess"]]


def test_changed_organization_keeps_unit_ids(empty: SqlStore) -> None:
    """While parent and name stay; accounts move, and a change of the tree is one update."""
    apply(empty, acme(""), top=organization(f"units: [{{name: a, accounts: ['{ACME}']}}, {{name: b}}]"))
    first = empty.account(ACME).organization
    changes = apply(empty, acme(""), top=organization(f"units: [{{name: b, accounts: ['{ACME}']}}, {{name: a}}]"))
    assert changes.lines == ("updated organization o-exampleorg: accounts",)
    second = empty.account(ACME).organization
    assert first is not None
    assert second is not None
    assert first.path != second.path
    apply(empty, acme(""), top=organization(f"units: [{{name: a, accounts: ['{ACME}']}}, {{name: b}}]"))
    assert empty.account(ACME).organization == first
    changes = apply(empty, acme(""), top=organization(f"{DENY}, units: [{{name: a}}]"))
    parts = "policy types, units, accounts, control policies, attachments"
    assert changes.lines == (f"updated organization o-exampleorg: {parts}",)
    assert empty.account(ACME).organization is None


def test_account_moves_to_another_organization(empty: SqlStore) -> None:
    """An account is in one organization at most, and loses the SCPs of the previous one."""
    apply(empty, acme(""), top=organization(f"{DENY}, accounts: [{{id: '{ACME}', scps: [D]}}]"))
    other = organization(f"accounts: ['{ACME}']", "o-otherorg00", "888800000000")
    apply(empty, acme(""), top=other)
    record = empty.account(ACME)
    assert record.organization is not None
    assert (record.organization.id, record.scps) == ("o-otherorg00", None)


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        (organization("scps: [None]"), "no SCP `None` in the organization"),
        (organization("rcps: [D], " + DENY), "no RCP `D` in the organization"),
        (organization("accounts: ['123123123123']"), "no account `123123123123` in this seed or in the store"),
        (organization("", "o-otherorg00"), "is the management account of organization `o-exampleorg` already"),
    ],
)
def test_invalid_organization_changes_nothing(empty: SqlStore, inside: str, words: str) -> None:
    """References of an organization must exist, and an account manages one organization."""
    apply(empty, acme(""), top=organization(""))
    before = rows(empty)
    with pytest.raises(SeedError, match=words):
        apply(empty, acme("name: changed"), top=inside)
    assert rows(empty) == before


names = st.sampled_from(["alice", "bob", "Carol"])
users = st.lists(
    st.tuples(names, st.sets(st.sampled_from(["P", "Q"])), st.sampled_from(["/", "/x/"]), st.booleans()),
    unique_by=lambda user: user[0],
    max_size=3,
)


def written(users: list[tuple[str, set[str], str, bool]]) -> str:
    policies = ", ".join(f"{{name: {name}, document: {ALLOW % name}}}" for name in ("P", "Q"))
    inside = ", ".join(
        f"{{name: {name}, path: {path}, attached: [{', '.join(sorted(attached))}], boundary: {'P' if bound else 'Q'}}}"
        for name, attached, path, bound in users
    )
    return acme(f"policies: [{policies}], users: [{inside}]")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=users, second=users)
def test_whole_seed_gives_same_state_after_any_history(
    empty: SqlStore,
    first: list[tuple[str, set[str], str, bool]],
    second: list[tuple[str, set[str], str, bool]],
) -> None:
    """A whole seed leads to the same state whatever was stored before (law)."""
    empty.ids = derived_id
    apply(empty, whole=True)
    apply(empty, written(second), whole=True)
    expected = rows(empty)
    apply(empty, written(first), whole=True)
    apply(empty, written(second), whole=True)
    assert rows(empty) == expected
    assert not apply(empty, written(second), whole=True)


# --- OIDC providers ----------------------------------------------------------------------------------------------

PROVIDER = "name: acme, oidc_providers: [{url: 'https://id.example.com/a', client_ids: [app, web], tags: {team: blue}}]"


def providers(store: SqlStore) -> dict[str, tuple[object, ...]]:
    with reading(store.engine) as connection:
        found = connection.execute(select(schema.oidc_providers)).mappings().all()
    return {
        row["url"]: (row["id"], row["account"], row["client_ids"], row["thumbprints"], row["tags"]) for row in found
    }


def test_oidc_providers_are_created_changed_and_pruned(empty: SqlStore) -> None:
    """P-1, G-77: attributes that a seed can't define stay."""
    created = apply(empty, acme(PROVIDER))
    arn = f"arn:aws:iam::{ACME}:oidc-provider/id.example.com/a"
    assert f"created OIDC provider {arn}" in created.lines
    assert providers(empty)["id.example.com/a"][1:] == (ACME, ["app", "web"], [], {"team": "blue"})
    assert not apply(empty, acme(PROVIDER))
    id = providers(empty)["id.example.com/a"][0]
    with empty.write_transaction() as records:
        records.update(schema.oidc_providers, {"thumbprints": ["a" * 40]}, id=id)
    changed = apply(empty, acme(PROVIDER.replace("app, web", "app").replace("blue", "red")))
    assert changed.lines == (f"updated OIDC provider {arn}: client ids, tags",)
    assert providers(empty)["id.example.com/a"] == (id, ACME, ["app"], ["a" * 40], {"team": "red"})
    assert not apply(empty, acme("name: acme"))
    assert apply(empty, acme("name: acme"), prune=True).lines == (f"deleted OIDC provider {arn}",)
    assert providers(empty) == {}


def test_two_accounts_can_register_one_provider(empty: SqlStore) -> None:
    """Each for its own roles."""
    apply(empty, acme(PROVIDER), f'id: "{GLOBEX}", {PROVIDER.replace("acme", "globex")}')
    with reading(empty.engine) as connection:
        found = connection.execute(select(schema.oidc_providers.c.account)).scalars().all()
    assert sorted(found) == [ACME, GLOBEX]


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("{client_ids: [a]}", "expected the key `url`"),
        ("{url: 'http://id.example.com'}", "expected a URL such as"),
        ("{url: 'https://id.example.com:8443'}", "expected a URL such as"),
        ("{url: 'https://id.example.com/?a=b'}", "expected a URL such as"),
        ("{url: 'https://id.example.com', client_ids: [a, a]}", "duplicate item `a`"),
        ("{url: 'https://id.example.com', client_ids: ['']}", "client ids of 1 to 255"),
        ("{url: 'https://id.example.com', client_ids: app}", "expected a list of client ids"),
        ("{url: 'https://id.example.com', thumbprints: []}", "unknown key"),
        ("{url: 'https://id.example.com'}, {url: 'https://id.example.com'}", "declared twice"),
        (
            ", ".join(f"{{url: 'https://id{number}.example.com'}}" for number in range(101)),
            "at most 100 OIDC providers",
        ),
    ],
)
def test_invalid_oidc_provider_is_refused(empty: SqlStore, provider: str, words: str) -> None:
    with pytest.raises(SeedError, match=words):
        apply(empty, acme(f"oidc_providers: [{provider}]"))
