"""The credential report: what everybody of an account can sign in with, as a CSV file (rules R-33, R-35).

It is made when it is asked for and kept; for four hours it is what everybody gets. `true` and `false` are written
small, as AWS writes them and as the tools that read the report expect them, though its guide has them large.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.entities import identity_arn
from iam_guard.api.iam.iam_errors import ReportExpired, ReportNotPresent
from iam_guard.store.identifiers import root_arn
from iam_guard.store.records import Row, Table
from iam_guard.store.schema import (
    access_key_uses,
    access_keys,
    accounts,
    credential_reports,
    identities,
    login_profiles,
    mfa_devices,
    password_policies,
    signing_certificates,
)

LIFE: Final = 4 * 60 * 60
"""Seconds for which a report is the one (R-35)."""
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
_SHOWN: Final = 2
"""Access keys and certificates that have columns of their own."""


def generate_credential_report(call: ServiceCall, given: Input) -> Output:
    """Make a report, unless there is one of the last four hours."""
    stored = call.records.one(credential_reports, account=call.account)
    if stored is not None and not _is_old(call, stored):
        return {"State": "COMPLETE"}
    call.records.delete(credential_reports, account=call.account)
    call.records.insert(credential_reports, account=call.account, content=_written(call), created=call.now)
    description = "No report exists. Starting a new report generation task" if stored is None else None
    return {"State": "STARTED", "Description": description}


def get_credential_report(call: ServiceCall, given: Input) -> Output:
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
    return bool(call.now - stored["created"] >= LIFE)


# --- the file ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of the credentials of an account, by owner: a user's unique id, None for the root user."""

    profiles: Mapping[str | None, list[Row]]
    devices: Mapping[str | None, list[Row]]
    keys: Mapping[str | None, list[Row]]
    certificates: Mapping[str | None, list[Row]]
    uses: Mapping[str, Row]
    password_days: int | None


def _written(call: ServiceCall) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    facts = _gathered(call)
    account = call.records.one(accounts, id=call.account)
    created = account["created"] if account else 0
    writer.writerow(_line(facts, None, _ROOT, root_arn(call.partition, call.account), created))
    for user in call.records.all(identities, account=call.account, kind="user", order=("folded",)):
        writer.writerow(_line(facts, user["id"], user["name"], identity_arn(call, user), user["created"]))
    return file.getvalue()


def _gathered(call: ServiceCall) -> _Facts:
    key_ids = call.records.values_of(access_keys, "id", account=call.account)
    uses = call.records.all(access_key_uses, access_key_id=key_ids)
    policy = call.records.one(password_policies, account=call.account)
    return _Facts(
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
    """Return the MFA devices that are in use; those of nobody look like the root user's."""
    everybody = _by_owner(call, mfa_devices)
    of_root = [row for row in everybody.get(None, ()) if row["for_root"]]
    return {**everybody, None: of_root}


def _line(facts: _Facts, owner: str | None, name: str, arn: str, created: int) -> list[str]:
    keys, certificates = facts.keys.get(owner, []), facts.certificates.get(owner, [])
    return [
        name,
        arn,
        _time(created),
        *_password(facts, owner),
        _truth(bool(facts.devices.get(owner))),
        *(field for number in range(_SHOWN) for field in _key(facts, keys[number : number + 1])),
        *(field for number in range(_SHOWN) for field in _certificate(certificates[number : number + 1])),
        _additional(keys, certificates),
    ]


def _password(facts: _Facts, owner: str | None) -> Iterator[str]:
    profile = next(iter(facts.profiles.get(owner, ())), None)
    yield _truth(profile is not None)
    if profile is None:
        yield from (_NOTHING, _NOTHING)
    else:
        yield "no_information" if profile["used"] is None else _time(profile["used"])
        yield _time(profile["changed"])
    if owner is None:
        yield "not_supported"
    elif profile is None or not facts.password_days:
        yield _NOTHING
    else:
        yield _time(profile["changed"] + facts.password_days * _DAY)


def _key(facts: _Facts, keys: Sequence[Row]) -> Iterator[str]:
    yield _truth(any(key["status"] == "Active" for key in keys))
    yield _time(keys[0]["created"]) if keys else _NOTHING
    use = facts.uses.get(keys[0]["id"]) if keys else None
    yield from (_NOTHING,) * 3 if use is None else (_time(use["at"]), use["region"], use["service"])


def _certificate(certificates: Sequence[Row]) -> Iterator[str]:
    yield _truth(any(certificate["status"] == "Active" for certificate in certificates))
    yield _time(certificates[0]["created"]) if certificates else _NOTHING


def _additional(keys: Sequence[Row], certificates: Sequence[Row]) -> str:
    """Return how many have no columns, and how to list them; a seed may declare more than the API creates."""
    more = [
        f"{len(rows) - _SHOWN} more {what}, see {operation}"
        for rows, what, operation in (
            (keys, "access keys", "ListAccessKeys"),
            (certificates, "signing certificates", "ListSigningCertificates"),
        )
        if len(rows) > _SHOWN
    ]
    return "; ".join(more) or _NOTHING


def _time(seconds: int) -> str:
    made = instant(seconds)
    return _NOTHING if made is None else made.isoformat()


def _truth(value: bool) -> str:
    return "true" if value else "false"
