"""Service-specific credentials of users: a name and a password, or an API key, for one service (rules R-11, K-33).

A service that the application declares, `docs.amazonaws.com` say, has API keys of ours: they sign in, with the
credential's id as theirs, and may be used for that service alone, which is their session policy.

The secret is made here, shown once, and kept as a digest: it has 360 random bits, which no slow hash has to protect.
Names and aliases are `NAME-at-ACCOUNT`, with a number where that is taken; they stay when the user is renamed. Must not
live here: signing in with one (`authn`), the text form of an API key (`authn/api_key`), keys of roles and keys with
other session policies (`iam_guard/guard/api_keys`).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from itertools import count
from typing import NamedTuple

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.authorization_targets import USER
from iam_guard.api.iam.credential_owners import settable_status
from iam_guard.api.iam.entities import find_identity, require_room, the_user, user_name
from iam_guard.api.iam.iam_errors import NotSupportedService
from iam_guard.api.operation import Keys, Target, everything
from iam_guard.api.paging import page_of_rows
from iam_guard.authn import api_key
from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.model.decision import PolicyType
from iam_guard.model.request import Resource
from iam_guard.policy.document import LATEST
from iam_guard.policy.saving import validate_for_write
from iam_guard.store.identifiers import Kind
from iam_guard.store.records import Row
from iam_guard.store.schema import identities, service_credentials

_SECRET_BYTES = 45  # 60 base-64 characters
_DAY = 24 * 60 * 60
_MOST = "service-specific credentials per user and service"


class _Form(NamedTuple):
    """How the credentials of a service look: the column of its public part, the prefix of its API keys, members."""

    column: str
    prefix: str
    public: str
    secret: str


_PASSWORD = _Form("user_name", "", "ServiceUserName", "ServicePassword")

SERVICES: Mapping[str, _Form] = {
    "codecommit.amazonaws.com": _PASSWORD,
    "cassandra.amazonaws.com": _PASSWORD,
    "bedrock.amazonaws.com": _Form("alias", "ABSK", "ServiceCredentialAlias", "ServiceCredentialSecret"),
    "logs.amazonaws.com": _Form("alias", "ACWL", "ServiceCredentialAlias", "ServiceCredentialSecret"),
}
"""The services of AWS that there are credentials for; each is named letter by letter, as in condition keys."""

_OURS = _Form("alias", "igk_", "ServiceCredentialAlias", "ServiceCredentialSecret")
_DOMAIN = ".amazonaws.com"


# --- the operations ----------------------------------------------------------------------------------------------


def create_service_specific_credential(call: ServiceCall, given: Input) -> Output:
    """Make a credential; a user has at most two for one service, whatever their status."""
    owner = the_user(call, given)
    service: str = given["ServiceName"]
    form = _form_of(call, service)
    held = call.records.count(service_credentials, user_id=owner["id"], service=service)
    require_room(_MOST, "ServiceSpecificCredentialsPerUser", held)
    name = _free_name(call, owner, service, form)
    days = given.get("CredentialAgeDays")
    id = call.new_id("service-credential", f"{service}/{name}")
    secret = _new_secret(form, id, name)
    call.records.insert(
        service_credentials,
        id=id,
        account=call.account,
        user_id=owner["id"],
        service=service,
        digest=secret.digest,
        session_policy=_only_for(call, service) if form is _OURS else None,
        status="Active",
        created=call.now,
        expires=None if days is None else call.now + days * _DAY,
        **{form.column: name},
    )
    row = _the_credential(call, owner, id)
    return {"ServiceSpecificCredential": {**_described(call, row, owner["name"]), form.secret: secret.text}}


def list_service_specific_credentials(call: ServiceCall, given: Input) -> Output:
    """List the credentials of a user, or of all users, by id; for one service, or for all."""
    if given.get("AllUsers", False):
        if "UserName" in given:
            raise InvalidInput("AllUsers cannot be specified together with UserName.")
        whose = {"account": call.account}
    else:
        whose = {"user_id": the_user(call, given)["id"]}
    if "ServiceName" in given:
        _form_of(call, given["ServiceName"])
        whose["service"] = given["ServiceName"]
    order = ("id",)
    page = page_of_rows(
        given,
        order,
        lambda after, limit: call.records.page(service_credentials, order=order, after=after, limit=limit, **whose),
    )
    owners = call.records.all(identities, id={row["user_id"] for row in page.rows})
    names = {owner["id"]: owner["name"] for owner in owners}
    found = [_described(call, row, names[row["user_id"]]) for row in page.rows]
    return {"ServiceSpecificCredentials": found, **page.members}


def reset_service_specific_credential(call: ServiceCall, given: Input) -> Output:
    """Make another secret in the place of the present one, which is good no more; its age stays."""
    owner = the_user(call, given)
    row = _the_credential(call, owner, given["ServiceSpecificCredentialId"])
    form = _form_in(row)
    secret = _new_secret(form, row["id"], row[form.column])
    call.records.update(service_credentials, {"digest": secret.digest}, id=row["id"])
    return {"ServiceSpecificCredential": {**_described(call, row, owner["name"]), form.secret: secret.text}}


def update_service_specific_credential(call: ServiceCall, given: Input) -> None:
    """Turn a credential on or off."""
    row = _the_credential(call, the_user(call, given), given["ServiceSpecificCredentialId"])
    call.records.update(service_credentials, {"status": settable_status(given)}, id=row["id"])


def delete_service_specific_credential(call: ServiceCall, given: Input) -> None:
    """Remove a credential."""
    row = _the_credential(call, the_user(call, given), given["ServiceSpecificCredentialId"])
    call.records.delete(service_credentials, id=row["id"])


# --- what is decided about ---------------------------------------------------------------------------------------


def user_or_all(call: ServiceCall, given: Input) -> Resource:
    """Return the user whose credentials are listed; for those of all users, everything."""
    target: Target = everything if given.get("AllUsers", False) else USER
    return target(call, given)


def service_of_credential(call: ServiceCall, given: Input) -> Keys:
    """Return `iam:ServiceSpecificCredentialServiceName` of the credential that a call names."""
    owner = find_identity(call, Kind.USER, user_name(call, given))
    row = None if owner is None else _find(call, owner, given["ServiceSpecificCredentialId"])
    return {} if row is None else {"iam:ServiceSpecificCredentialServiceName": row["service"]}


# --- names and secrets -------------------------------------------------------------------------------------------


def secret_digest(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


class _Secret(NamedTuple):
    """A secret as its owner is told it, and what is kept of it."""

    text: str
    digest: str


def _form_of(call: ServiceCall, service: str) -> _Form:
    if service.endswith(_DOMAIN) and service.removesuffix(_DOMAIN) in call.app_services:
        return _OURS
    form = SERVICES.get(service)
    if form is None:
        raise NotSupportedService(f"No such service {service} is supported for Service Specific Credentials")
    return form


def _form_in(row: Row) -> _Form:
    return SERVICES[row["service"]] if row["session_policy"] is None else _OURS


def _only_for(call: ServiceCall, service: str) -> str:
    """Write the session policy of an API key: what its user may do, but in one service only."""
    statement = {"Effect": "Allow", "Action": f"{service.removesuffix(_DOMAIN)}:*", "Resource": "*"}
    policy = {"Version": LATEST, "Statement": [statement]}
    return validate_for_write(policy, PolicyType.SESSION, partition=call.partition).text


def _free_name(call: ServiceCall, owner: Row, service: str, form: _Form) -> str:
    for number in count():
        plus = f"+{number}" if number else ""
        name = f"{owner['name']}{plus}-at-{call.account}"
        if not call.records.count(service_credentials, service=service, **{form.column: name}):
            return name
    raise AssertionError("numbers do not end")


def _new_secret(form: _Form, id: str, name: str) -> _Secret:
    """Make a password, or an API key; AWS's carry the alias, ours the id, by which they are found."""
    if form is _OURS:
        made = api_key.generate(secrets.token_bytes, id)
        return _Secret(made.text, made.digest.hex())
    secret = base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")
    text = secret
    if form.prefix:
        text = form.prefix + base64.b64encode(f"{name}:{secret}".encode()).decode("ascii")
    return _Secret(text, secret_digest(text))


# --- rows --------------------------------------------------------------------------------------------------------


def _find(call: ServiceCall, owner: Row, id: str) -> Row | None:
    return call.records.one(service_credentials, id=id, account=call.account, user_id=owner["id"])


def _the_credential(call: ServiceCall, owner: Row, id: str) -> Row:
    row = _find(call, owner, id)
    if row is None:
        raise NoSuchEntity(f"No such credential {id} exists")
    return row


def _described(call: ServiceCall, row: Row, name: str) -> Output:
    has_expired = row["expires"] is not None and row["expires"] <= call.now
    form = _form_in(row)
    return {
        "UserName": name,
        "Status": "Expired" if has_expired else row["status"],
        form.public: row[form.column],
        "CreateDate": instant(row["created"]),
        "ExpirationDate": instant(row["expires"]),
        "ServiceSpecificCredentialId": row["id"],
        "ServiceName": row["service"],
    }
