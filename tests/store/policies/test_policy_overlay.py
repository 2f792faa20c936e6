"""The overlay of a store by a change file: the current content of the store with the changes applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iam_guard.errors import SeedError, StoreIsReadOnly
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store, open_candidate_store, open_database
from iam_guard.store.policies.policy_overlay import OverlaidStore
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.seed.change_files import is_change_file, load_changes, open_overlay
from iam_guard.store.snapshot import Snapshot
from iam_guard.store.sql_store import SqlStore

ACME = "111122223333"
POLICY = f"arn:aws:iam::{ACME}:policy/team/Readers"
OTHER = f"arn:aws:iam::{ACME}:policy/Other"
RITA, RICH, GROUP, ROLE = (
    f"arn:aws:iam::{ACME}:{name}" for name in ("user/rita", "user/rich", "group/readers", "role/x/auditor")
)
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
THING = f"arn:aws:docs:us-east-1:{ACME}:document/7"


def allow(action: str) -> str:
    return f'{{Version: "2012-10-17", Statement: [{{Effect: Allow, Action: "{action}", Resource: "*"}}]}}'


def shared(action: str) -> str:
    return (
        f'{{Version: "2012-10-17", Statement: [{{Effect: Allow, Principal: "*", Action: "{action}", Resource: "*"}}]}}'
    )


TRUST = shared("sts:AssumeRole").replace(', Resource: "*"', "").replace('"*"', f'{{AWS: "{ACME}"}}')
SEED = f"""
version: 1
organization:
  id: o-exampleorg1
  management_account: "999900000000"
  units: [{{name: tenants, scps: [FullAWSAccess, Hold], accounts: ["{ACME}"]}}]
  policies: [{{name: Hold, type: SCP, document: {allow("docs:Hold")}}}]
accounts:
  - id: "999900000000"
  - id: "{ACME}"
    policies:
      - {{name: Readers, path: /team/, document: {allow("docs:Get")}}}
      - {{name: Other, document: {allow("docs:Other")}}}
    groups: [{{name: readers, attached: [Readers], inline: {{Own: {allow("docs:Own")}}}}}]
    users:
      - {{name: rita, groups: [readers], attached: [Readers], inline: {{Read: {allow("docs:Read")}}}}}
      - {{name: rich, groups: [readers]}}
      - {{name: limited, boundary: Readers}}
    roles:
      - name: auditor
        path: /x/
        attached: [Other]
        trust: {TRUST}
    resources: [{{arn: "{THING}", policy: {shared("docs:Share")}}}]
"""
OpenChanges = Callable[[str], OverlaidStore]


@pytest.fixture(scope="module")
def seeded() -> Iterator[tuple[SqlStore, Snapshot]]:
    made = create_store("sqlite://", Settings())
    apply_seed(made, load_seed_text(SEED))
    snapshot = Snapshot(made.engine)
    yield made, snapshot
    snapshot.close()
    made.close()


@pytest.fixture
def store(seeded: tuple[SqlStore, Snapshot]) -> SqlStore:
    seeded[1].restore()
    return seeded[0]


@pytest.fixture
def open_changes(store: SqlStore, tmp_path: Path) -> OpenChanges:
    def overlay(changes: str) -> OverlaidStore:
        path = tmp_path / "change.yaml"
        path.write_text(f"version: 1\npolicy_changes:\n{changes}")
        return open_overlay(store, str(path))

    return overlay


def actions_of(store: OverlaidStore | SqlStore, arn: str) -> dict[str, list[str]]:
    """Return the actions in the policies of a user or role, by the policies' names."""
    if ":role/" in arn:
        session = f"arn:aws:sts::{ACME}:assumed-role/{arn.rpartition('/')[2]}/s"
        principal = Principal.from_arn(session, role_arn=arn)
    else:
        principal = Principal.from_arn(arn)
    found: dict[str, list[str]] = {}
    for policy in store.principal(principal).identity:
        found.setdefault(policy.ref.name, []).append(action_in(policy.text))
    return found


def action_in(text: str) -> str:
    return text.partition('"Action": "')[2].partition('"')[0]


def test_replaced_document_applies_wherever_attached(open_changes: OpenChanges, store: SqlStore) -> None:
    """To users, groups and roles, and as boundary; only its text and digest change."""
    overlay = open_changes(f"  - replace: {POLICY}\n    document: {allow('docs:New')}")
    assert actions_of(overlay, RITA) == {
        "Readers": ["docs:New", "docs:New"],
        "group/readers/Own": ["docs:Own"],
        "user/rita/Read": ["docs:Read"],
    }
    assert actions_of(overlay, ROLE) == actions_of(store, ROLE)
    was, now = (either.principal(Principal.from_arn(RITA)) for either in (store, overlay))
    [before] = {policy.ref for policy in was.identity if policy.ref.arn == POLICY}
    [after] = {policy.ref for policy in now.identity if policy.ref.arn == POLICY}
    assert (after.name, after.arn) == (before.name, before.arn)
    assert after.digest != before.digest
    boundary = overlay.principal(Principal.from_arn(f"arn:aws:iam::{ACME}:user/limited")).boundary
    assert boundary is not None
    assert action_in(boundary.text) == "docs:New"


def test_control_and_resource_policies_are_replaced(open_changes: OpenChanges, store: SqlStore) -> None:
    scps = store.account(ACME).scps
    assert scps is not None
    [hold] = {str(each.ref.arn) for level in scps for each in level if each.ref.name == "Hold"}
    overlay = open_changes(
        f"  - replace: {hold}\n    document: {allow('docs:Scp')}\n"
        f"  - replace: {THING}\n    document: {shared('docs:Open')}"
    )
    with pytest.raises(SeedError, match="there is no"):
        open_changes(f"  - replace: {hold.replace('999900000000', ACME)}\n    document: {allow('docs:Scp')}")
    changed = overlay.account(ACME).scps
    assert changed is not None
    assert {action_in(each.text) for level in changed for each in level if each.ref.name == "Hold"} == {"docs:Scp"}
    policy = overlay.resource(THING).policy
    assert policy is not None
    assert action_in(policy.text) == "docs:Open"


def test_aws_managed_control_policy_is_replaced(open_changes: OpenChanges) -> None:
    full = "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess"
    overlay = open_changes(f"  - replace: {full}\n    document: {allow('docs:Scp')}").account(ACME).scps
    assert overlay is not None
    assert {action_in(each.text) for level in overlay for each in level if each.ref.arn == full} == {"docs:Scp"}


def test_detaching_from_user_keeps_policy_of_group(open_changes: OpenChanges) -> None:
    """A policy detached from Rita stays attached to her group, and the other way round."""
    assert actions_of(open_changes(f"  - {{detach: {POLICY}, from: {RITA}}}"), RITA)["Readers"] == ["docs:Get"]
    overlay = open_changes(f"  - {{detach: {POLICY}, from: {GROUP}}}")
    assert actions_of(overlay, RITA)["Readers"] == ["docs:Get"]
    assert "Readers" not in actions_of(overlay, RICH)


def test_policy_attached_to_group_applies_to_members_only(open_changes: OpenChanges, store: SqlStore) -> None:
    overlay = open_changes(f"  - {{attach: {OTHER}, to: {GROUP}}}")
    assert actions_of(overlay, RICH) == {**actions_of(store, RICH), "Other": ["docs:Other"]}
    assert actions_of(overlay, ROLE) == actions_of(store, ROLE)  # it has the policy itself
    assert actions_of(overlay, f"arn:aws:iam::{ACME}:user/limited") == {}


def test_attached_policy_is_not_attached_twice(open_changes: OpenChanges) -> None:
    overlay = open_changes(f"  - {{attach: {POLICY}, to: {RITA}}}")
    assert actions_of(overlay, RITA)["Readers"] == ["docs:Get", "docs:Get"]


def test_new_policy_is_attached_with_its_document(open_changes: OpenChanges) -> None:
    arn = f"arn:aws:iam::{ACME}:policy/Fresh"
    overlay = open_changes(f"  - attach: {arn}\n    to: {ROLE}\n    document: {allow('docs:Fresh')}")
    assert actions_of(overlay, ROLE) == {"Fresh": ["docs:Fresh"], "Other": ["docs:Other"]}


def test_aws_and_replaced_policies_can_be_attached(open_changes: OpenChanges) -> None:
    changes = f"  - {{attach: {ADMIN}, to: {ROLE}}}\n  - {{attach: {POLICY}, to: {ROLE}}}\n"
    overlay = open_changes(f"{changes}  - replace: {POLICY}\n    document: {allow('docs:New')}")
    assert actions_of(overlay, ROLE)["Readers"] == ["docs:New"]
    assert "AdministratorAccess" in actions_of(overlay, ROLE)


def test_inline_policies_are_put_and_deleted(open_changes: OpenChanges) -> None:
    """Names are compared case-insensitively, as in PutUserPolicy."""
    overlay = open_changes(
        f"  - put: READ\n    in: {RITA}\n    document: {allow('docs:Put')}\n"
        f"  - {{delete: own, in: {GROUP}}}\n"
        f"  - put: More\n    in: {GROUP}\n    document: {allow('docs:More')}"
    )
    assert actions_of(overlay, RITA) == {
        "Readers": ["docs:Get", "docs:Get"],
        "group/readers/More": ["docs:More"],
        "user/rita/READ": ["docs:Put"],
    }
    assert actions_of(overlay, RICH) == {"Readers": ["docs:Get"], "group/readers/More": ["docs:More"]}


def test_changes_of_wrapped_store_are_visible(open_changes: OpenChanges, store: SqlStore) -> None:
    """The overlay applies to the current state, not a copy; changes of deleted entities are skipped."""
    overlay = open_changes(f"  - {{detach: {POLICY}, from: {RITA}}}\n  - {{attach: {OTHER}, to: {RICH}}}")
    changed = SEED.replace("groups: [readers], attached: [Readers]", "groups: []").replace("docs:Other", "docs:Later")
    apply_seed(store, load_seed_text(changed))
    assert overlay.epoch() == store.epoch()
    assert actions_of(overlay, RITA) == {"user/rita/Read": ["docs:Read"]}
    assert actions_of(overlay, RICH)["Other"] == ["docs:Later"]
    apply_seed(store, load_seed_text(changed.replace("{name: rich, groups: [readers]}", "{name: rosa}")), prune=True)
    assert not overlay.principal(Principal.from_arn(RICH)).exists


def test_overlay_works_with_many_connections(database: str, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "change.yaml"
    path.write_text(
        f"version: 1\npolicy_changes:\n  - {{detach: {POLICY}, from: {GROUP}}}\n  - {{attach: {ADMIN}, to: {ROLE}}}\n"
        f"  - replace: {POLICY}\n    document: {allow('docs:New')}"
    )
    inner = open_database(database, settings)
    apply_seed(inner, load_seed_text(SEED))
    overlay = open_overlay(inner, str(path))
    assert actions_of(overlay, RITA)["Readers"] == ["docs:New"]
    assert "Readers" not in actions_of(overlay, RICH)
    assert actions_of(overlay, ROLE) == {"AdministratorAccess": ["*"], "Other": ["docs:Other"]}
    with overlay.at_once():
        assert actions_of(overlay, RITA)["Readers"] == ["docs:New"]
    inner.close()


def test_overlay_answers_from_one_snapshot(open_changes: OpenChanges) -> None:
    overlay = open_changes(f"  - {{detach: {POLICY}, from: {RITA}}}")
    with overlay.at_once():
        assert actions_of(overlay, RITA)["Readers"] == ["docs:Get"]
        assert overlay.account(ACME).exists
    with overlay.read_transaction() as records:
        assert records is not None


def test_overlay_is_read_only(open_changes: OpenChanges, store: SqlStore) -> None:
    """Nothing is written through it, and closing it leaves the store open."""
    overlay = open_changes(f"  - {{detach: {POLICY}, from: {RITA}}}")
    with pytest.raises(StoreIsReadOnly):
        overlay.write_transaction()
    overlay.save_uses([])
    overlay.close()
    assert store.epoch() == overlay.epoch()


NO_SCP = "arn:aws:organizations::999900000000:policy/o-exampleorg1/service_control_policy/p-none"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (f"{{attach: {POLICY}, to: {RITA}x}}", "there is no `arn:aws:iam::111122223333:user/ritax` in the store"),
        (f"{{attach: {POLICY}x, to: {RITA}}}", "policy/team/Readersx` in the store"),
        (f"{{detach: {OTHER}, from: {RITA}}}", "is not attached to"),
        (f"{{detach: {POLICY}, from: {RICH}}}", "is not attached to"),  # but to his group
        (f"{{delete: Nothing, in: {RITA}}}", "has no inline policy `Nothing`"),
        (f"{{replace: {POLICY}x, document: {allow('docs:X')}}}", "there is no `arn:"),
        (f"{{replace: '{THING}0', document: {shared('docs:X')}}}", "there is no `arn:aws:docs"),
        (f"{{replace: {NO_SCP}, document: {allow('docs:X')}}}", "there is no"),
        (f"{{attach: {POLICY}, to: {RITA}, document: {allow('docs:X')}}}", "use `replace` for its document"),
    ],
)
def test_missing_reference_is_refused_when_opened(open_changes: OpenChanges, change: str, problem: str) -> None:
    with pytest.raises(SeedError, match=r"^change\.yaml:\d+: ") as caught:
        open_changes(f"  - {change}")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("{remove: x}", "expected a change with one of the keys `replace`"),
        ("text", "expected a change with one of the keys"),
        (f"{{detach: {POLICY}, from: {RITA}, to: x}}", "unknown key `to`"),
        (f"{{detach: {POLICY}}}", "expected the key `from`"),
        (f"{{detach: {RITA}, from: {RITA}}}", "expected the ARN of a managed policy"),
        (f"{{detach: {POLICY}, from: rita}}", "expected the ARN of a user, group or role"),
        (f"{{replace: {ROLE}, document: {{}}}}", "expected the ARN of a managed policy, an SCP"),
        (f"{{replace: {POLICY}}}", "expected the key `document`"),
        (f"{{replace: {POLICY}, document: {{file: no.json}}}}", "cannot read the file `no.json`"),
        (f"{{replace: {POLICY}, document: {shared('docs:Get')}}}", "principal"),
        (f"{{put: 'a b', in: {RITA}, document: {allow('docs:X')}}}", "expected a policy name"),
        (f"{{put: a, in: {RITA}}}", "expected the key `document`"),
        (f"{{attach: {POLICY}, to: {RITA}}}, {{detach: {POLICY}, from: {RITA}}}", "expected one change of"),
        (f"{{delete: A, in: {RITA}}}, {{delete: a, in: {RITA}}}", "expected one change of"),
    ],
)
def test_invalid_change_is_reported_with_its_line(tmp_path: Path, change: str, problem: str) -> None:
    assert problem.lower() in problems_of(tmp_path, f"version: 1\npolicy_changes: [{change}]").lower()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("version: 1", "change.yaml:1: expected the key `policy_changes`"),
        ("policy_changes: [{detach: x, from: y}]", "expected the key `version`"),
        ("version: 2\npolicy_changes: [{detach: x, from: y}]", "expected version 1"),
        ("version: 1\npolicy_changes: []", "expected a change, got none"),
        ("version: 1\npolicy_changes: {}", "expected a list"),
        ("version: [", "not readable as YAML"),
    ],
)
def test_invalid_file_is_reported_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in problems_of(tmp_path, text)


def problems_of(folder: Path, text: str) -> str:
    path = folder / "change.yaml"
    path.write_text(text)
    with pytest.raises(SeedError, match=r"^change\.yaml:\d+: ") as caught:
        load_changes(str(path))
    return "\n".join(caught.value.problems)


def test_change_file_is_distinguished_from_seed(store: SqlStore, tmp_path: Path) -> None:
    seed, change = tmp_path / "seed.yaml", tmp_path / "change.yaml"
    seed.write_text(SEED)
    change.write_text(f"version: 1\npolicy_changes: [{{detach: {POLICY}, from: {RITA}}}]")
    assert (is_change_file(str(seed)), is_change_file(str(change)), is_change_file("nowhere.yaml")) == (
        False,
        True,
        False,
    )
    assert isinstance(open_candidate_store(str(change), store, Settings()), OverlaidStore)
    whole = open_candidate_store(str(seed), store, Settings())
    assert not isinstance(whole, OverlaidStore)
    whole.close()
