"""A change file laid over a store: what is decided with is the store's of this moment, but for what the file says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iam_guard.errors import SeedError, StoreIsReadOnly
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.change_files import is_change_file, lay_over, load_changes
from iam_guard.store.open_store import init_store, open_candidate, open_database
from iam_guard.store.policy_overlay import OverlaidStore
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.snapshot import Snapshot
from iam_guard.store.sql_store import SqlStore

ACME = "111122223333"
POLICY = f"arn:aws:iam::{ACME}:policy/team/Readers"
OTHER = f"arn:aws:iam::{ACME}:policy/Other"
RITA, RICH, GROUP, ROLE = (
    f"arn:aws:iam::{ACME}:{each}" for each in ("user/rita", "user/rich", "group/readers", "role/x/auditor")
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
Lay = Callable[[str], OverlaidStore]


@pytest.fixture(scope="module")
def kept() -> Iterator[tuple[SqlStore, Snapshot]]:
    made = init_store("sqlite://", Settings())
    apply_seed(made, load_seed_text(SEED))
    snapshot = Snapshot(made.engine)
    yield made, snapshot
    snapshot.close()
    made.close()


@pytest.fixture
def store(kept: tuple[SqlStore, Snapshot]) -> SqlStore:
    kept[1].restore()
    return kept[0]


@pytest.fixture
def lay(store: SqlStore, tmp_path: Path) -> Lay:
    def laid(changes: str) -> OverlaidStore:
        path = tmp_path / "change.yaml"
        path.write_text(f"version: 1\npolicy_changes:\n{changes}")
        return lay_over(store, str(path))

    return laid


def held(store: OverlaidStore | SqlStore, arn: str) -> dict[str, list[str]]:
    """Return what a user or role holds: the words of the documents, by the policies' names."""
    if ":role/" in arn:
        session = f"arn:aws:sts::{ACME}:assumed-role/{arn.rpartition('/')[2]}/s"
        principal = Principal.from_arn(session, role_arn=arn)
    else:
        principal = Principal.from_arn(arn)
    found: dict[str, list[str]] = {}
    for each in store.principal(principal).identity:
        found.setdefault(each.ref.name, []).append(action_in(each.text))
    return found


def action_in(text: str) -> str:
    return text.partition('"Action": "')[2].partition('"')[0]


def test_document_is_replaced_wherever_the_policy_is(lay: Lay, store: SqlStore) -> None:
    """As identity-based policy of user, group and role, and as boundary; its digest and nothing else changes."""
    laid = lay(f"  - replace: {POLICY}\n    document: {allow('docs:New')}")
    assert held(laid, RITA) == {
        "Readers": ["docs:New", "docs:New"],
        "group/readers/Own": ["docs:Own"],
        "user/rita/Read": ["docs:Read"],
    }
    assert held(laid, ROLE) == held(store, ROLE)
    was, now = (each.principal(Principal.from_arn(RITA)) for each in (store, laid))
    [before] = {each.ref for each in was.identity if each.ref.arn == POLICY}
    [after] = {each.ref for each in now.identity if each.ref.arn == POLICY}
    assert (after.name, after.arn) == (before.name, before.arn)
    assert after.digest != before.digest
    boundary = laid.principal(Principal.from_arn(f"arn:aws:iam::{ACME}:user/limited")).boundary
    assert boundary is not None
    assert action_in(boundary.text) == "docs:New"


def test_control_policy_and_resource_policy_are_replaced_too(lay: Lay, store: SqlStore) -> None:
    scps = store.account(ACME).scps
    assert scps is not None
    [hold] = {str(each.ref.arn) for level in scps for each in level if each.ref.name == "Hold"}
    laid = lay(
        f"  - replace: {hold}\n    document: {allow('docs:Scp')}\n"
        f"  - replace: {THING}\n    document: {shared('docs:Open')}"
    )
    with pytest.raises(SeedError, match="there is no"):
        lay(f"  - replace: {hold.replace('999900000000', ACME)}\n    document: {allow('docs:Scp')}")
    changed = laid.account(ACME).scps
    assert changed is not None
    assert {action_in(each.text) for level in changed for each in level if each.ref.name == "Hold"} == {"docs:Scp"}
    policy = laid.resource(THING).policy
    assert policy is not None
    assert action_in(policy.text) == "docs:Open"


def test_policies_of_aws_can_be_replaced_for_a_trial(lay: Lay) -> None:
    full = "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess"
    laid = lay(f"  - replace: {full}\n    document: {allow('docs:Scp')}").account(ACME).scps
    assert laid is not None
    assert {action_in(each.text) for level in laid for each in level if each.ref.arn == full} == {"docs:Scp"}


def test_detaching_takes_one_of_two_ways(lay: Lay) -> None:
    """Rita has it herself and through her group: what is taken from her stays with the group, and the other way."""
    assert held(lay(f"  - {{detach: {POLICY}, from: {RITA}}}"), RITA)["Readers"] == ["docs:Get"]
    laid = lay(f"  - {{detach: {POLICY}, from: {GROUP}}}")
    assert held(laid, RITA)["Readers"] == ["docs:Get"]
    assert "Readers" not in held(laid, RICH)


def test_attaching_reaches_the_members_of_a_group_and_nobody_else(lay: Lay, store: SqlStore) -> None:
    laid = lay(f"  - {{attach: {OTHER}, to: {GROUP}}}")
    assert held(laid, RICH) == {**held(store, RICH), "Other": ["docs:Other"]}
    assert held(laid, ROLE) == held(store, ROLE)  # it has the policy itself
    assert held(laid, f"arn:aws:iam::{ACME}:user/limited") == {}


def test_what_is_attached_already_is_not_attached_twice(lay: Lay) -> None:
    assert held(lay(f"  - {{attach: {POLICY}, to: {RITA}}}"), RITA)["Readers"] == ["docs:Get", "docs:Get"]


def test_new_policy_has_its_document_in_the_file(lay: Lay) -> None:
    arn = f"arn:aws:iam::{ACME}:policy/Fresh"
    laid = lay(f"  - attach: {arn}\n    to: {ROLE}\n    document: {allow('docs:Fresh')}")
    assert held(laid, ROLE) == {"Fresh": ["docs:Fresh"], "Other": ["docs:Other"]}


def test_policy_of_aws_and_replaced_one_can_be_attached(lay: Lay) -> None:
    changes = f"  - {{attach: {ADMIN}, to: {ROLE}}}\n  - {{attach: {POLICY}, to: {ROLE}}}\n"
    laid = lay(f"{changes}  - replace: {POLICY}\n    document: {allow('docs:New')}")
    assert held(laid, ROLE)["Readers"] == ["docs:New"]
    assert "AdministratorAccess" in held(laid, ROLE)


def test_inline_policies_are_put_and_deleted(lay: Lay) -> None:
    """Names are the same whatever their letter case, as for PutUserPolicy."""
    laid = lay(
        f"  - put: READ\n    in: {RITA}\n    document: {allow('docs:Put')}\n"
        f"  - {{delete: own, in: {GROUP}}}\n"
        f"  - put: More\n    in: {GROUP}\n    document: {allow('docs:More')}"
    )
    assert held(laid, RITA) == {
        "Readers": ["docs:Get", "docs:Get"],
        "group/readers/More": ["docs:More"],
        "user/rita/READ": ["docs:Put"],
    }
    assert held(laid, RICH) == {"Readers": ["docs:Get"], "group/readers/More": ["docs:More"]}


def test_what_changes_behind_shows(lay: Lay, store: SqlStore) -> None:
    """It is laid over the store as it is, not over a copy; what is gone is passed over."""
    laid = lay(f"  - {{detach: {POLICY}, from: {RITA}}}\n  - {{attach: {OTHER}, to: {RICH}}}")
    changed = SEED.replace("groups: [readers], attached: [Readers]", "groups: []").replace("docs:Other", "docs:Later")
    apply_seed(store, load_seed_text(changed))
    assert laid.epoch() == store.epoch()
    assert held(laid, RITA) == {"user/rita/Read": ["docs:Read"]}
    assert held(laid, RICH)["Other"] == ["docs:Later"]
    apply_seed(store, load_seed_text(changed.replace("{name: rich, groups: [readers]}", "{name: rosa}")), prune=True)
    assert not laid.principal(Principal.from_arn(RICH)).exists


def test_it_is_the_same_on_a_database_with_many_connections(database: str, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "change.yaml"
    path.write_text(
        f"version: 1\npolicy_changes:\n  - {{detach: {POLICY}, from: {GROUP}}}\n  - {{attach: {ADMIN}, to: {ROLE}}}\n"
        f"  - replace: {POLICY}\n    document: {allow('docs:New')}"
    )
    behind = open_database(database, settings)
    apply_seed(behind, load_seed_text(SEED))
    laid = lay_over(behind, str(path))
    assert held(laid, RITA)["Readers"] == ["docs:New"]
    assert "Readers" not in held(laid, RICH)
    assert held(laid, ROLE) == {"AdministratorAccess": ["*"], "Other": ["docs:Other"]}
    with laid.at_once():
        assert held(laid, RITA)["Readers"] == ["docs:New"]
    behind.close()


def test_answers_of_one_state_can_be_asked_for(lay: Lay) -> None:
    laid = lay(f"  - {{detach: {POLICY}, from: {RITA}}}")
    with laid.at_once():
        assert held(laid, RITA)["Readers"] == ["docs:Get"]
        assert laid.account(ACME).exists
    with laid.viewing() as records:
        assert records is not None


def test_it_is_for_deciding_only(lay: Lay, store: SqlStore) -> None:
    """Nothing is written through it, and closing it leaves the store open."""
    laid = lay(f"  - {{detach: {POLICY}, from: {RITA}}}")
    with pytest.raises(StoreIsReadOnly):
        laid.changing()
    laid.keep_uses([])
    laid.close()
    assert store.epoch() == laid.epoch()


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
        (f"{{attach: {POLICY}, to: {RITA}, document: {allow('docs:X')}}}", "`replace` its document"),
    ],
)
def test_what_is_not_there_is_refused_at_opening(lay: Lay, change: str, problem: str) -> None:
    with pytest.raises(SeedError, match=r"^change\.yaml:\d+: ") as caught:
        lay(f"  - {change}")
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
        (f"{{attach: {POLICY}, to: {RITA}}}, {{detach: {POLICY}, from: {RITA}}}", "another change about"),
        (f"{{delete: A, in: {RITA}}}, {{delete: a, in: {RITA}}}", "another change about"),
    ],
)
def test_bad_change_is_refused_with_its_line(tmp_path: Path, change: str, problem: str) -> None:
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
def test_bad_file_is_refused_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in problems_of(tmp_path, text)


def problems_of(folder: Path, text: str) -> str:
    path = folder / "change.yaml"
    path.write_text(text)
    with pytest.raises(SeedError, match=r"^change\.yaml:\d+: ") as caught:
        load_changes(str(path))
    return "\n".join(caught.value.problems)


def test_change_file_is_told_from_a_seed(store: SqlStore, tmp_path: Path) -> None:
    seed, change = tmp_path / "seed.yaml", tmp_path / "change.yaml"
    seed.write_text(SEED)
    change.write_text(f"version: 1\npolicy_changes: [{{detach: {POLICY}, from: {RITA}}}]")
    assert (is_change_file(str(seed)), is_change_file(str(change)), is_change_file("nowhere.yaml")) == (
        False,
        True,
        False,
    )
    assert isinstance(open_candidate(str(change), store, Settings()), OverlaidStore)
    whole = open_candidate(str(seed), store, Settings())
    assert not isinstance(whole, OverlaidStore)
    whole.close()
