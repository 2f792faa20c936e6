"""Privacy rules: dropped, masked and pseudonymised members; members that rules cannot select; pseudonym keys."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.audit.open_trail import open_privacy_rules
from iam_guard.audit.record import pseudonyms
from iam_guard.audit.record.line import decision_line
from iam_guard.audit.record.privacy import MASK, REQUIRED_MEMBERS, PrivacyRules, Treatment
from iam_guard.audit.record.pseudonyms import (
    OTHER,
    PREFIX,
    PseudonymKeys,
    destroy_pseudonym_keys,
    make_pseudonym_key,
    pseudonyms_of,
    read_pseudonym_keys,
)
from iam_guard.audit.record.record import Stamp, decision_record
from iam_guard.audit.record.redaction import to_line
from iam_guard.errors import ConfigurationError, InvalidInput, NoSuchEntity
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.request import Call
from iam_guard.settings import Settings, load_settings
from tests.audit.record.test_record import RECORDS
from tests.tables import table

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
DROP, PSEUDONYMS = Treatment.DROP, Treatment.PSEUDONYMS
RECORD = json.loads(to_line(RECORDS["conditions-read"]))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "pseudonym-keys"
    make_pseudonym_key(path, ACCOUNT)
    return path


def apply(
    record: dict[str, Any], keys: PseudonymKeys | None = None, **pointers_by_name: tuple[str, ...]
) -> dict[str, Any]:
    """Serialize a record under rules named like the settings."""
    rules = PrivacyRules({Treatment[name.upper()]: pointers for name, pointers in pointers_by_name.items()}, keys)
    line: dict[str, Any] = json.loads(to_line(record, rules))
    return line


def made_with(keys: PseudonymKeys, account: str, text: str) -> str:
    key = keys.key(account)
    assert key is not None
    return pseudonyms.pseudonym(key, text)


# --- treatments ------------------------------------------------------------------------------------------------------


def test_dropped_member_is_removed_and_listed() -> None:
    record = apply(RECORD, drop=("/userAgent", "/userIdentity/accessKeyId", "/iamGuard/reasons/*/sid", "/nowhere/x"))
    assert "userAgent" not in record
    assert "accessKeyId" not in record["userIdentity"]
    assert "sid" not in record["iamGuard"]["reasons"][0]
    assert record["iamGuard"]["dropped"] == [
        *("/userIdentity/accessKeyId", "/userAgent", "/iamGuard/reasons/0/sid"),
    ]


def test_masked_member_masks_every_value_in_it() -> None:
    """Null stays null, and lists and objects keep their structure."""
    record = apply(RECORD, mask=("/sourceIPAddress", "/requestParameters", "/iamGuard/conditions/*/value"))
    assert record["sourceIPAddress"] == MASK
    assert set(record["requestParameters"].values()) == {MASK}
    assert record["responseElements"] is None
    values = [entry["value"] for entry in record["iamGuard"]["conditions"] if "value" in entry]
    assert values
    assert set(values) == {MASK}
    assert "/requestParameters/method" in record["iamGuard"]["redacted"]


def test_pseudonym_is_equal_in_all_records_of_an_account(key_file: Path) -> None:
    keys = PseudonymKeys(key_file)
    places = ("/userIdentity/userName", "/userIdentity/arn", "/sourceIPAddress", "/resources/*/ARN")
    one, other = (apply(RECORD, keys, pseudonyms=places) for _ in range(2))
    assert one == other
    assert one["userIdentity"]["userName"].startswith(PREFIX)
    assert len(one["userIdentity"]["userName"]) == len(PREFIX) + 32
    assert one["iamGuard"]["pseudonymised"] == [
        *("/userIdentity/arn", "/userIdentity/userName", "/sourceIPAddress", "/resources/0/ARN"),
    ]
    assert [one["userIdentity"]["userName"]] == pseudonyms_of(key_file, ACCOUNT, "alice")
    assert "redacted" not in one["iamGuard"]


def test_pseudonyms_of_two_accounts_differ(key_file: Path) -> None:
    make_pseudonym_key(key_file, OTHER_ACCOUNT)
    keys = PseudonymKeys(key_file)
    assert made_with(keys, ACCOUNT, "alice") != made_with(keys, OTHER_ACCOUNT, "alice")


def test_pseudonym_key_is_that_of_the_callers_account(key_file: Path) -> None:
    """A caller of another account gets that account's pseudonym; without an account, that of `other`."""
    make_pseudonym_key(key_file, OTHER_ACCOUNT)
    make_pseudonym_key(key_file, OTHER)
    keys = PseudonymKeys(key_file)
    foreign: Any = json.loads(to_line(RECORDS["role-session-cross-account-allowed"]))
    made = apply(foreign, keys, pseudonyms=("/sourceIPAddress",))
    assert made["sourceIPAddress"] == made_with(keys, OTHER_ACCOUNT, "203.0.113.7")
    refused: Any = json.loads(to_line(RECORDS["authentication-refused"]))
    made = apply(refused, keys, pseudonyms=("/sourceIPAddress",))
    assert made["sourceIPAddress"] == made_with(keys, OTHER, "203.0.113.7")


def test_pseudonym_without_key_is_masked(key_file: Path) -> None:
    destroy_pseudonym_keys(key_file, ACCOUNT)
    record = apply(RECORD, PseudonymKeys(key_file), pseudonyms=("/userIdentity/userName",))
    assert record["userIdentity"]["userName"] == MASK
    assert record["iamGuard"]["redacted"] == ["/userIdentity/userName"]


def test_strongest_of_several_rules_applies(key_file: Path) -> None:
    keys = PseudonymKeys(key_file)
    record = apply(
        RECORD,
        keys,
        drop=("/requestParameters/host",),
        mask=("/requestParameters/path",),
        pseudonyms=("/requestParameters",),
    )
    assert "host" not in record["requestParameters"]
    assert record["requestParameters"]["path"] == MASK
    assert record["requestParameters"]["method"].startswith(PREFIX)


def test_secret_is_masked_in_addition_to_rules() -> None:
    record = apply(RECORD | {"userAgent": "token=hunter2"}, mask=("/sourceIPAddress",))
    assert record["userAgent"] == f"token={MASK}"
    assert record["iamGuard"]["redacted"] == ["/sourceIPAddress", "/userAgent"]


def test_member_name_with_slash_is_escaped_in_pointers() -> None:
    odd = RECORD | {"requestParameters": {"a/b~c": "x"}}
    assert apply(odd, drop=("/requestParameters/a~1b~0c",))["iamGuard"]["dropped"] == ["/requestParameters/a~1b~0c"]


@pytest.mark.parametrize("name", RECORDS)
def test_documented_rules_remove_personal_data_from_every_record(name: str, key_file: Path) -> None:
    """The settings in docs/how-to/keep-personal-data-out.md leave no name and no address."""
    page = (Path(__file__).resolve().parents[3] / "docs/how-to/keep-personal-data-out.md").read_text()
    block = page.split('```bash title="privacy.env"\n')[1].split("```")[0]
    documented = load_settings({}, dict(word.split("=", 1) for word in shlex.split(block) if word != "export"))
    chosen = {treatment: getattr(documented, f"audit_{treatment.name.lower()}") for treatment in Treatment}
    line = to_line(RECORDS[name], PrivacyRules(chosen, PseudonymKeys(key_file)))
    for personal in (b"alice", b"carol", b"dave", b"203.0.113.7", b"Botocore"):
        assert personal not in line


names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=6)
trees: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just("planted"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(names, trees, max_size=4), st.sampled_from((Treatment.MASK, DROP)))
def test_values_below_a_selected_member_are_removed(tree: dict[str, Any], treatment: Treatment) -> None:
    """At any depth."""
    record = RECORD | {"requestParameters": tree}
    rules = PrivacyRules({treatment: ("/requestParameters",)})
    assert "planted" not in json.dumps(rules.apply(record))


def test_joined_line_with_rules_equals_the_record(
    decide: Callable[..., Decision], call: Call, stamp: Stamp, key_file: Path
) -> None:
    rules = PrivacyRules({Treatment.PSEUDONYMS: ("/userIdentity/arn",), DROP: ("/userAgent",)}, PseudonymKeys(key_file))
    for decision in (decide(), decide(Outcome.IMPLICITLY_DENIED), decide(resource="*")):
        joined = decision_line(decision, call, stamp, rules=rules)
        assert joined == to_line(decision_record(decision, call, stamp), rules)
        assert b"user/staff/alice" not in joined.replace(b"not authorized", b"").split(b'"errorMessage"')[0]


# --- selectable members ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("treatment", Treatment)
@pytest.mark.parametrize(
    "pointer",
    [
        *sorted(REQUIRED_MEMBERS),
        *(
            "/userIdentity",
            "/iamGuard",
            "/*",
            "/*/type",
            "/iamGuard/*",
            "/iamGuard/redacted/*",
            "/iamGuard/policySet/x",
        ),
    ],
)
def test_required_member_cannot_be_selected(treatment: Treatment, pointer: str, key_file: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected a member that is not required") as caught:
        PrivacyRules({treatment: (pointer,)}, PseudonymKeys(key_file))
    assert caught.value.place == f"audit_{treatment.name.lower()}"


@table("pointer", ["", "userAgent", "/", "//x", "/userIdentity/", "$.userAgent"])
def test_invalid_pointer_is_rejected(pointer: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a JSON pointer"):
        PrivacyRules({Treatment.MASK: (pointer,)})


@table("pointer", ["/resources/0", "/resources/*", "/requestParameters/*"])
def test_dropping_a_list_element_is_rejected(pointer: str) -> None:
    """It would shift the positions of the other elements."""
    with pytest.raises(ConfigurationError, match="elements cannot be dropped"):
        PrivacyRules({DROP: (pointer,)})


def test_settings_create_the_rules(key_file: Path, tmp_path: Path) -> None:
    assert open_privacy_rules(Settings(), None) is None
    assert open_privacy_rules(Settings(audit_mask=("/userAgent",)), None) is not None
    settings = Settings(audit_pseudonyms=("/userAgent",))
    with pytest.raises(ConfigurationError, match="IAM_GUARD_AUDIT_PSEUDONYM_KEY_FILE"):
        open_privacy_rules(settings, None)
    with pytest.raises(ConfigurationError, match="iam-guard audit pseudonym-key"):
        open_privacy_rules(settings, tmp_path / "iam.db")
    assert open_privacy_rules(replace(settings, audit_pseudonym_key_file=str(key_file)), None) is not None


# --- keys ------------------------------------------------------------------------------------------------------------


def test_key_file_is_private_and_keeps_rotated_keys(key_file: Path) -> None:
    assert key_file.stat().st_mode & 0o777 == 0o600
    [first] = pseudonyms_of(key_file, ACCOUNT, "alice")
    make_pseudonym_key(key_file, ACCOUNT, rotate=True)
    make_pseudonym_key(key_file, OTHER_ACCOUNT)
    found = pseudonyms_of(key_file, ACCOUNT, "alice")
    assert found[1:] == [first]
    assert made_with(PseudonymKeys(key_file), ACCOUNT, "alice") == found[0]
    assert destroy_pseudonym_keys(key_file, ACCOUNT) == 2
    with pytest.raises(NoSuchEntity):
        pseudonyms_of(key_file, ACCOUNT, "alice")
    assert set(read_pseudonym_keys(key_file)) == {OTHER_ACCOUNT}


def test_creating_an_existing_key_requires_rotate(key_file: Path) -> None:
    with pytest.raises(InvalidInput, match="already has a key"):
        make_pseudonym_key(key_file, ACCOUNT)
    with pytest.raises(NoSuchEntity):
        make_pseudonym_key(key_file, OTHER_ACCOUNT, rotate=True)
    with pytest.raises(NoSuchEntity):
        destroy_pseudonym_keys(key_file, OTHER_ACCOUNT)


@pytest.mark.parametrize("account", ["", "1234", "acme", "../x", f"{ACCOUNT} {ACCOUNT}"])
def test_key_for_an_invalid_account_is_rejected(key_file: Path, account: str) -> None:
    with pytest.raises(InvalidInput, match="expected an account of 12 digits"):
        make_pseudonym_key(key_file, account)


@pytest.mark.parametrize("line", ["111122223333", "111122223333 AAAA", "acme QUFB", "111122223333 ****"])
def test_invalid_key_file_is_rejected(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad").write_text(line)
    (tmp_path / "bad").chmod(0o600)
    with pytest.raises(ConfigurationError, match="expected lines of an account and a key"):
        PseudonymKeys(tmp_path / "bad")


def test_destroyed_key_stops_pseudonyms_in_running_process(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a second, also if the file was deleted."""
    monkeypatch.setattr(pseudonyms, "CHECK_INTERVAL", -1.0)
    keys = PseudonymKeys(key_file)
    assert made_with(keys, ACCOUNT, "alice")
    destroy_pseudonym_keys(key_file, ACCOUNT)
    assert keys.key(ACCOUNT) is None
    make_pseudonym_key(key_file, ACCOUNT)
    assert made_with(keys, ACCOUNT, "alice")
    key_file.unlink()
    assert keys.key(ACCOUNT) is None
