"""The authenticator apps of a person: added with two codes in a row, as in the IAM API (R-32).

A device that is added here is a virtual MFA device: the IAM API lists, resynchronizes and deactivates it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any, Final, NamedTuple

from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.person import Person
from iam_guard.authn.people.second_factors.one_time_codes import check_pair, new_seed, seed_context
from iam_guard.authn.people.verified_steps import Evidence
from iam_guard.store.database.records import PRESENT, Records, Row
from iam_guard.store.identifiers import fold
from iam_guard.store.schema import mfa_devices, passkeys
from iam_guard.store.sealing import Sealer

SIGN_IN_PATH: Final = "/signin/"
"""The devices of `make_device` are below this path, which the IAM API creates none at."""


class NewDevice(NamedTuple):
    """A device that is not enabled yet. `seed` is its key, in base 32; it is shown once."""

    serial: str
    seed: str

    def __repr__(self) -> str:
        return f"NewDevice({self.serial!r})"


class FactorUse(NamedTuple):
    """The second factor that was right, None if it was wrong, and facts for the audit trail, without secrets."""

    evidence: Evidence | None
    facts: Mapping[str, str]

    @property
    def succeeded(self) -> bool:
        return self.evidence is not None


def devices_of(records: Records, person: Person) -> list[Row]:
    """Return the enabled devices of a person, by serial number."""
    owner = {"user_id": person.user_id} if person.user_id else {"account": person.account, "for_root": True}
    return records.all(mfa_devices, order=("serial",), enabled=PRESENT, **owner)


def count_factors(records: Records, person: Person) -> int:
    """Return the number of a person's enabled devices, passkeys and security keys (R-3)."""
    devices = records.count(mfa_devices, **person.where, for_root=person.user_id is None, enabled=PRESENT)
    return devices + records.count(passkeys, **person.where)


def has_second_factor(records: Records, person: Person) -> bool:
    """Return whether a person has an enabled MFA device or a passkey; the statements are always the same."""
    return count_factors(records, person) > 0


def make_device(records: Records, sealer: Sealer, person: Person, now: int) -> NewDevice:
    """Make a device for a person, which `enable_device` enables, and delete those that it never enabled."""
    path = _path(person)
    records.delete(mfa_devices, account=person.account, path=path, enabled=None)
    rows = records.all(mfa_devices, columns=("name",), account=person.account, path=path)
    taken = {fold(row["name"]) for row in rows}
    name = next(name for number in count(1) if (name := f"app-{number}") not in taken)
    partition = person.arn.split(":", 2)[1]
    device = NewDevice(f"arn:{partition}:iam::{person.account}:mfa{path}{name}", new_seed())
    records.insert(
        mfa_devices,
        serial=device.serial,
        account=person.account,
        path=path,
        name=name,
        folded=path[1:] + fold(name),
        for_root=False,
        sealed=sealer.seal(device.seed.encode("ascii"), seed_context(device.serial)),
        tags={},
        created=now,
    )
    return device


def enable_device(
    records: Records, sealer: Sealer, person: Person, serial: str, codes: tuple[str, str], now: int
) -> Evidence | None:
    """Enable a device of `make_device` with two codes in a row; return the device, None if they are wrong."""
    row = records.one(mfa_devices, serial=serial, account=person.account, path=_path(person), enabled=None)
    pair = None if row is None else check_pair(row, codes, now, sealer)
    if row is None or pair is None:
        return None
    owner = {"user_id": person.user_id, "for_root": person.user_id is None}
    values = {**owner, "enabled": now, "last_step": pair.step, "drift": pair.drift}
    records.update(mfa_devices, values, serial=serial)
    attempts.clear_all(records, person, "code")
    return device_evidence({**row, **values})


def device_evidence(row: Mapping[str, Any] | Row) -> Evidence:
    """Return the evidence of an enabled device whose code was right: its owner and its seed."""
    return Evidence.of(mfa_devices, row, "account", "user_id", "for_root", "enabled", "sealed")


def _path(person: Person) -> str:
    return f"{SIGN_IN_PATH}{person.owner}/"
