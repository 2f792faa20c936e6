"""The credential report: the credentials of all users of an account, as a CSV file (R-33, R-35).

A report is generated on request and stored; for four hours it is returned to all callers. `true` and `false` are in
lower case, as AWS writes them and tools expect them, although AWS's guide has upper case.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.entities import identity_arn
from iam_guard.api.service_errors import ReportExpired, ReportNotPresent
from iam_guard.store.database.records import Row, Table
from iam_guard.store.schema import (
    access_key_uses,
    access_keys,
    credential_reports,
    identities,
    login_profiles,
    mfa_devices,
    passkeys,
    password_policies,
    signing_certificates,
)

MAX_AGE: Final = 4 * 60 * 60
"""Seconds for which a report is valid (R-35)."""
COLUMNS: Final = (
    "user arn user_creation_time password_enabled password_last_used password_last_changed password_next_rotation "
    "mfa_active access_key_1_active access_key_1_last_rotated access_key_1_last_used_date "
    "access_key_1_last_used_region access_key_1_last_used_service access_key_2_active access_key_2_last_rotated "
    "access_key_2_last_used_date access_key_2_last_used_region access_key_2_last_used_service "
    "cert_1_active cert_1_last_rotated cert_2_active cert_2_last_rotated additional_credentials_info"
).split()

_ROOT: Final = "<root_account>"
_NOTHING: Final = "N/A"
_DAY: Final = 24 * 60 * 60
_COLUMN_SETS: Final = 2
"""Number of access keys, and of certificates, that have their own columns."""


def generate_credential_report(call: ServiceCall, parameters: Input) -> Output:
    """Generate a report, unless there is one from the last four hours."""
    stored = call.records.one(credential_reports, account=call.account)
    if stored is not None and not _is_old(call, stored):
        return {"State": "COMPLETE"}
    call.records.delete(credential_reports, account=call.account)
    call.records.insert(credential_reports, account=call.account, content=_report(call), created=call.now)
    description = "No report exists. Starting a new report generation task" if stored is None else None
    return {"State": "STARTED", "Description": description}


def get_credential_report(call: ServiceCall, parameters: Input) -> Output:
    """Return the report. Raises `ReportNotPresent`, `ReportExpired`."""
    stored = call.records.one(credential_reports, account=call.account)
    if stored is None:
        raise ReportNotPresent("The credential report does not exist. Use GenerateCredentialReport to generate one.")
    if _is_old(call, stored):
        raise ReportExpired("The credential report has expired. Use GenerateCredentialReport to generate a new one.")
    return {
        "Content": stored["content"].encode(),
        "ReportFormat": "text/csv",
        "GeneratedTime": instant(stored["created"]),
    }


def _is_old(call: ServiceCall, stored: Row) -> bool:
    return bool(call.now - stored["created"] >= MAX_AGE)


# --- CSV file ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Credentials:
    """The credentials of an account, by owner: a user's unique id, None for the root user."""

    profiles: Mapping[str | None, list[Row]]
    devices: Mapping[str | None, list[Row]]
    keys: Mapping[str | None, list[Row]]
    certificates: Mapping[str | None, list[Row]]
    uses: Mapping[str, Row]
    password_days: int | None


def _report(call: ServiceCall) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    credentials = _load_credentials(call)
    created = call.account_value("created") or 0
    writer.writerow(_fields(credentials, None, _ROOT, call.root_arn, created))
    for user in call.records.all(identities, account=call.account, kind="user", order=("folded",)):
        writer.writerow(_fields(credentials, user["id"], user["name"], identity_arn(call, user), user["created"]))
    return file.getvalue()


def _load_credentials(call: ServiceCall) -> _Credentials:
    key_ids = call.records.values_of(access_keys, "id", account=call.account)
    uses = call.records.all(access_key_uses, access_key_id=key_ids)
    policy = call.records.one(password_policies, account=call.account)
    return _Credentials(
        profiles=_by_owner(call, login_profiles),
        devices=_devices(call),
        keys=_by_owner(call, access_keys, order=("created", "id")),
        certificates=_by_owner(call, signing_certificates, order=("created", "id")),
        uses={use["access_key_id"]: use for use in uses},
        password_days=policy["policy"].get("MaxPasswordAge") if policy else None,
    )


def _by_owner(call: ServiceCall, table: Table, order: Sequence[str] = ()) -> dict[str | None, list[Row]]:
    rows: dict[str | None, list[Row]] = {}
    for row in call.records.all(table, order=order, account=call.account):
        rows.setdefault(row["user_id"], []).append(row)
    return rows


def _devices(call: ServiceCall) -> dict[str | None, list[Row]]:
    """Return the enabled MFA devices and passkeys; unassigned devices have no user id, like the root user's."""
    devices, keys = _by_owner(call, mfa_devices), _by_owner(call, passkeys)
    devices[None] = [row for row in devices.get(None, ()) if row["for_root"]]
    return {owner: [*devices.get(owner, ()), *keys.get(owner, ())] for owner in {*devices, *keys}}


def _fields(credentials: _Credentials, owner: str | None, name: str, arn: str, created: int) -> list[str]:
    keys, certificates = credentials.keys.get(owner, []), credentials.certificates.get(owner, [])
    return [
        name,
        arn,
        _time(created),
        *_password(credentials, owner),
        _boolean(bool(credentials.devices.get(owner))),
        *(field for number in range(_COLUMN_SETS) for field in _key(credentials, keys[number : number + 1])),
        *(field for number in range(_COLUMN_SETS) for field in _status(certificates[number : number + 1])),
        _additional(keys, certificates),
    ]


def _password(credentials: _Credentials, owner: str | None) -> Iterator[str]:
    profile = next(iter(credentials.profiles.get(owner, ())), None)
    yield _boolean(profile is not None)
    if profile is None and owner is not None:
        yield _NOTHING
    else:
        yield "no_information" if profile is None or profile["used"] is None else _time(profile["used"])
    yield _NOTHING if profile is None else _time(profile["changed"])
    if owner is None:
        yield "not_supported"
    elif profile is None or not credentials.password_days:
        yield _NOTHING
    else:
        yield _time(profile["changed"] + credentials.password_days * _DAY)


def _key(credentials: _Credentials, keys: Sequence[Row]) -> Iterator[str]:
    yield from _status(keys)
    use = credentials.uses.get(keys[0]["id"]) if keys else None
    yield from (_NOTHING,) * 3 if use is None else (_time(use["at"]), use["region"], use["service"])


def _status(rows: Sequence[Row]) -> Iterator[str]:
    yield _boolean(any(row["status"] == "Active" for row in rows))
    yield _time(rows[0]["created"]) if rows else _NOTHING


def _additional(keys: Sequence[Row], certificates: Sequence[Row]) -> str:
    """Return the number of credentials without columns, and how to list them; a seed may declare more than AWS."""
    more = [
        f"{len(rows) - _COLUMN_SETS} more {noun}, see {operation}"
        for rows, noun, operation in (
            (keys, "access keys", "ListAccessKeys"),
            (certificates, "signing certificates", "ListSigningCertificates"),
        )
        if len(rows) > _COLUMN_SETS
    ]
    return "; ".join(more) or _NOTHING


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _boolean(value: bool) -> str:
    return "true" if value else "false"
