"""`guard.people.personal_data`: what is known of a person, in the store and in the trail.

A person is a user or a root user, named by its ARN; or, without a row in the store, the one that an identity provider
(ARN) calls `subject`, or the one of a session (ARN). Who may export or erase a person is for the application to decide.
Both are recorded, without a name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

from iam_guard.audit.consumer.personal_records import PersonRecords
from iam_guard.audit.consumer.subscription import AuditReader
from iam_guard.audit.record.pseudonyms import person_pseudonyms, pseudonyms_of, subjects_of
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.authn.people.passwords.failed_attempts import guess_subjects
from iam_guard.authn.people.person import Person
from iam_guard.errors import ConfigurationError, InvalidInput, NoSuchEntity
from iam_guard.model.arn import Arn
from iam_guard.model.result import CallResult, ChangeRecorder
from iam_guard.policy.grammar import quoted
from iam_guard.store.accounts.personal_data import (
    Exported,
    PersonalValues,
    delete_pending_sign_ins,
    erase_rows,
    export_rows,
    exported_sessions,
    find_user,
    role_sessions_of,
    root_of_account,
    sessions_of_federated,
    values_of_arn,
    values_of_federated,
    values_of_user,
)
from iam_guard.store.accounts.personal_tables import StoredPerson
from iam_guard.store.accounts.pseudonym_salts import StoredSalts, delete_salts
from iam_guard.store.database.records import Records
from iam_guard.store.identifiers import fold, identity_of_arn, root_arn
from iam_guard.store.policies.policy_mentions import bound_policies, naming_policies, replace_by_id
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import identities, pseudonym_salts

_PROVIDERS: Final = ("saml-provider", "oidc-provider")
_SESSIONS: Final = ("assumed-role", "federated-user")


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased: the number of rows by table, and of salts of pseudonyms.

    `unique_id` is the user's; None if there was none. `still_named_in` are policies and rules of others whose text has
    the person's ARN.
    """

    unique_id: str | None
    rows: Mapping[str, int] = field(default_factory=dict)
    salts: int = 0
    still_named_in: tuple[str, ...] = ()


class _Subject(NamedTuple):
    """Whom an ARN means: its account, and the name that confirms an erasure; `kind` is `user`, `root` or `session`."""

    kind: str
    account: str
    name: str


class PersonalData:
    """The rights of people to their data. Thread-safe; `clock` is timezone-aware."""

    def __init__(
        self,
        store: RecordStore,
        change_recorder: ChangeRecorder,
        clock: Callable[[], datetime],
        *,
        trail: Path | None = None,
        ring: KeyRing | None = None,
    ) -> None:
        self._store = store
        self._change_recorder = change_recorder
        self._clock = clock
        self._trail, self._ring = trail, ring
        self.key_file: Path | None = None
        """The file of pseudonym keys; `open_guard` sets it. It need not exist."""

    # --- export ------------------------------------------------------------------------------------------------------

    def export(self, arn: str, *, subject: str | None = None) -> dict[str, Any]:
        """Return what is known of a person, as JSON: in the store, and in the guard's trail if that is in a folder.

        For a long trail, `write_export` needs less memory. Raises `InvalidInput` for another kind of ARN, and
        `NoSuchEntity`.
        """
        document, finder = self._described(arn, subject)
        return document | {"trail": list(finder.select(self._own_records()))}

    def write_export(
        self,
        arn: str,
        output: TextIO,
        *,
        subject: str | None = None,
        records: Iterable[Mapping[str, Any]] | None = None,
    ) -> int:
        """Write what `export` returns, a line for each record of the trail; return the number of these records.

        `records` are read instead of the guard's own trail.
        """
        document, finder = self._described(arn, subject)
        output.write(json.dumps(document, indent=2).removesuffix("\n}") + ',\n  "trail": [')
        count = 0
        for found in finder.select(self._own_records() if records is None else records):
            output.write(f"{',' if count else ''}\n    {json.dumps(found)}")
            count += 1
        output.write("\n  ]\n}\n")
        return count

    def _described(self, arn: str, subject: str | None) -> tuple[dict[str, Any], PersonRecords]:
        whom = self.subject_of(arn, subject)
        with self._store.read_transaction() as records:
            person, rows, values = self._exported(records, whom, arn, subject)
            sessions: set[str] = set()
            if whom.kind != "root":
                sessions = role_sessions_of(records, self._store.partition, whom.account, values.names)
            bound = {} if person is None or person.id is None else bound_policies(records, person)
            named_in = [] if person is None else naming_policies(records, self._store.partition, person)
        pseudonyms = self._pseudonyms(whom.account, values._replace(names=values.names | sessions))
        unique_id = None if person is None else person.id
        self._record("ExportPerson", whom.account, {"principalId": unique_id or whom.kind}, {}, None, changed=False)
        document: dict[str, Any] = {
            "person": {"arn": arn, "subject": subject, "account": whom.account, "uniqueId": unique_id},
            "exported": self._clock().isoformat(),
            "store": rows,
            "boundIn": {table.name: keys for table, keys in bound.items() if keys},
            "namedIn": named_in,
            "pseudonyms": sorted(pseudonyms),
        }
        return document, PersonRecords(whom.account, values.names, values.unique | sessions, pseudonyms)

    def _exported(
        self, records: Records, whom: _Subject, arn: str, subject: str | None
    ) -> tuple[StoredPerson | None, Exported, PersonalValues]:
        partition = self._store.partition
        if whom.kind == "session":
            found = sessions_of_federated(records, whom.account, arn, subject)
            return None, exported_sessions(found), values_of_federated(found, arn, subject)
        find = find_user if whom.kind == "user" else root_of_account
        person = find(records, partition, arn)
        if person is None:
            raise NoSuchEntity(f"The {'user' if whom.kind == 'user' else 'account'} {arn[:2048]} cannot be found.")
        rows = export_rows(records, partition, person, _failures(person))
        if person.id is not None:
            return person, rows, values_of_user(records, partition, person)
        emails = {row["email"] for row in rows["accounts"]} - {None}
        return person, rows, PersonalValues(frozenset(emails), frozenset({person.arn}))

    def _own_records(self) -> Iterator[dict[str, Any]]:
        """Yield the records of the guard's own trail; none if it is not in a folder."""
        if self._trail is None or not self._trail.is_dir():
            return
        reader = AuditReader(self._trail, ring=self._ring)
        with reader.subscribe(follow=False, verify=self._ring is not None) as subscription:
            for _, record in subscription:
                yield record

    def _pseudonyms(self, account: str, values: PersonalValues) -> set[str]:
        if self.key_file is None or not self.key_file.exists():
            return set()
        return person_pseudonyms(self.key_file, account, values.names, values.unique, StoredSalts(self._store))

    # --- erase -------------------------------------------------------------------------------------------------------

    def erase(self, arn: str, *, subject: str | None = None, also: Iterable[str] = ()) -> Erasure:
        """Erase a person: the user with all it has, its sessions, and the salts of its pseudonyms in the trail.

        `also` are further texts that identify the person in the records of its account, such as a former name or an
        e-mail address. Policies that name the person have its unique id afterwards. A person who is not in the store
        (any more) is no error: the salts of its name are deleted. Raises `InvalidInput` for a root user, `NoSuchEntity`
        for a user that the ARN names in another letter case or path, `ConfigurationError` without the file of the keys
        that the salts are found by, `StoreIsReadOnly`; `RecordUnavailable` if it was done but not recorded.
        """
        whom = self.subject_of(arn, subject)
        if isinstance(also, str):
            raise InvalidInput("expected a list of texts, got one text", place="also")
        if whom.kind == "root":
            raise InvalidInput("the root user can't be erased: delete its account", place="arn")
        self._change_recorder.prepare()
        known_as = None if subject is None else self._known_pseudonym(whom.account, subject)
        with self._store.write_transaction() as records:
            person, rows, values = self._erased(records, whom, arn, subject)
            values = values._replace(names=values.names.union(also))
            salts = self._delete_salts(records, whom.account, values)
        changed, epoch = bool(rows or salts), records.epoch
        named = person or StoredPerson(whom.account, arn)
        still_named: list[str] = []
        if whom.kind == "user":
            replaced, still_named = self._replace_in_policies(named)
            rows |= replaced
        identified = {"principalId": named.id, "pseudonym": known_as}
        self._record("ErasePerson", whom.account, identified, {"rows": rows, "salts": salts}, epoch, changed=changed)
        return Erasure(named.id, rows, salts, tuple(still_named))

    def subject_of(self, arn: str, subject: str | None = None) -> _Subject:
        """Return whom an ARN means. Raises `InvalidInput` for an ARN of something else."""
        parsed = Arn.parse(arn)
        kind, _, name = parsed.resource.partition("/")
        found = None
        if parsed.service == "iam" and kind in _PROVIDERS and subject:
            found = _Subject("session", parsed.account, subject)
        elif subject is None and parsed.service == "sts" and kind in _SESSIONS and name:
            found = _Subject("session", parsed.account, name.rpartition("/")[2])
        elif subject is None and arn == root_arn(self._store.partition, parsed.account):
            found = _Subject("root", parsed.account, "root")
        elif subject is None and parsed.service == "iam" and kind == "user" and name:
            found = _Subject("user", parsed.account, name.rpartition("/")[2])
        if found is None:
            expected = "the ARN of a user, a session, or an identity provider with the subject of a person"
            raise InvalidInput(f"expected {expected}, got {quoted(arn)}", place="arn")
        return found

    def _erased(
        self, records: Records, whom: _Subject, arn: str, subject: str | None
    ) -> tuple[StoredPerson | None, dict[str, int], PersonalValues]:
        """Delete the rows of a person; return them by table, and what identified it."""
        if whom.kind == "session":
            found = sessions_of_federated(records, whom.account, arn, subject)
            if subject is not None:
                delete_pending_sign_ins(records, arn, subject)
            counts = {
                table.name: records.delete(table, id=[row["id"] for row in rows])
                for table, rows in found.items()
                if rows
            }
            return None, counts, values_of_federated(found, arn, subject)
        person = find_user(records, self._store.partition, arn)
        if person is None:
            _refuse_other_user(records, arn)
            return None, {}, values_of_arn(arn)
        values = values_of_user(records, self._store.partition, person)
        return person, erase_rows(records, person, _failures(person)), values

    def _delete_salts(self, records: Records, account: str, values: PersonalValues) -> int:
        if self.key_file is None or not self.key_file.exists():
            if records.count(pseudonym_salts, account=account):
                message = "expected the file of the keys of pseudonyms, without which their salts can't be found"
                raise ConfigurationError(message, place="audit_pseudonym_key_file")
            return 0
        sessions = role_sessions_of(records, self._store.partition, account, values.names)
        subjects = subjects_of(self.key_file, account, values.names | sessions, values.unique)
        marked = subjects_of(self.key_file, account, values.names, values.unique).get(account, [])
        return delete_salts(records, subjects, marked, int(self._clock().timestamp()))

    def _replace_in_policies(self, person: StoredPerson) -> tuple[dict[str, int], list[str]]:
        with self._store.read_transaction() as records:
            bound = bound_policies(records, person)
        replaced = {}
        if any(bound.values()):
            with self._store.write_transaction() as records:
                replaced = replace_by_id(records, person, bound)
        with self._store.read_transaction() as records:
            return replaced, naming_policies(records, self._store.partition, person)

    def _known_pseudonym(self, account: str, text: str) -> str | None:
        """Return the present pseudonym of a text, if it has a salt: it stays in the record of the erasure."""
        if self.key_file is None:
            return None
        try:
            plain = pseudonyms_of(self.key_file, account, text)
            found = pseudonyms_of(self.key_file, account, text, StoredSalts(self._store))
        except (ConfigurationError, NoSuchEntity):  # no key
            return None
        return found[0] if len(found) > len(plain) else None

    def _record(
        self,
        name: str,
        account: str,
        identified: Mapping[str, str | None],
        elements: Mapping[str, Any],
        epoch: int | None,
        *,
        changed: bool,
    ) -> None:
        known = {member: value for member, value in identified.items() if value is not None}
        self._change_recorder.record(
            CallResult(
                action=f"iam-guard:{name}",
                resource=root_arn(self._store.partition, account),
                owner=account,
                parameters={"accountId": account, **known},
                elements=elements,
                changed=changed,
                epoch=epoch,
            )
        )


def _failures(person: StoredPerson) -> list[str]:
    """Return the subjects of a person's failed sign-ins."""
    return guess_subjects(Person(person.account, person.arn, person.id, person.name))


def _refuse_other_user(records: Records, arn: str) -> None:
    """Raise `NoSuchEntity` if a user has the name, in any letter case, but not the ARN."""
    account, kind, name = identity_of_arn(arn) or ("", "", "")
    if records.one(identities, account=account, kind=str(kind), folded=fold(name)) is not None:
        raise NoSuchEntity(f"The user {arn[:2048]} cannot be found: the name has another path or letter case.")
