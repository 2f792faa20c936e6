"""Service-specific credentials of users: user name and password, or an API key, for one service (R-11, K-33).

A service that the application declares, such as `docs.amazonaws.com`, has API keys of IAM Guard: they authenticate with
the credential's id, and their session policy limits them to that service.

The secret is returned once, at creation, and stored as a digest: it has 360 random bits, which need no slow hash.
Names and aliases are `NAME-at-ACCOUNT`, with a number if that is taken; they stay when the user is renamed. The format
of API keys is in `authn/api_key`; keys of roles and keys with other session policies in `administration/api_keys`.
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
from iam_guard.api.iam.credentials.user_credentials import (
    CredentialKind,
    describe_credential,
    insert_credential,
    load_credential,
)
from iam_guard.api.iam.entities import find_identity, load_user, requested_name, require_quota
from iam_guard.api.operation import Keys, Target, all_resources
from iam_guard.api.paging import page_of_table
from iam_guard.api.service_errors import NotSupportedService
from iam_guard.authn import api_key
from iam_guard.errors import InvalidInput
from iam_guard.model.decision import PolicyType
from iam_guard.model.request import Resource
from iam_guard.policy.document import LATEST
from iam_guard.policy.saving import validate_for_write
from iam_guard.store.database.records import Row
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import identities, service_credentials

SERVICE_CREDENTIAL = CredentialKind(
    service_credentials,
    load_user,
    "No such credential {} exists",
    member="ServiceSpecificCredentialId",
    created="CreateDate",
)
_SECRET_BYTES = 45  # 60 base-64 characters
_DAY = 24 * 60 * 60
_QUOTA = "service-specific credentials per user and service"


class _Form(NamedTuple):
    """The credential format of a service: column and member of the public part, API key prefix, secret's member."""

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
"""AWS's services with such credentials, by the exact name that condition keys use."""

_API_KEY = _Form("alias", "igk_", "ServiceCredentialAlias", "ServiceCredentialSecret")
_DOMAIN = ".amazonaws.com"


# --- operations --------------------------------------------------------------------------------------------------


def create_service_specific_credential(call: ServiceCall, parameters: Input) -> Output:
    """Create a credential; a user has at most two for one service, whatever their status."""
    owner = load_user(call, parameters)
    service: str = parameters["ServiceName"]
    form = _form_of(call, service)
    current = call.records.count(service_credentials, user_id=owner["id"], service=service)
    require_quota(call.records, _QUOTA, "ServiceSpecificCredentialsPerUser", current)
    name = _free_name(call, owner, service, form)
    days = parameters.get("CredentialAgeDays")
    id = call.new_id("service-credential", f"{service}/{name}")
    secret, digest = _new_secret(form, id, name)
    row = insert_credential(
        call,
        SERVICE_CREDENTIAL,
        owner,
        id,
        service=service,
        digest=digest,
        session_policy=_session_policy(call, service) if form is _API_KEY else None,
        expires=None if days is None else call.now + days * _DAY,
        **{form.column: name},
    )
    return {"ServiceSpecificCredential": {**_describe(call, row, owner["name"]), form.secret: secret}}


def list_service_specific_credentials(call: ServiceCall, parameters: Input) -> Output:
    """List the credentials of one user or of all users, sorted by id; for one service, or for all."""
    if parameters.get("AllUsers", False):
        if "UserName" in parameters:
            raise InvalidInput("AllUsers cannot be specified together with UserName.")
        where = {"account": call.account}
    else:
        where = {"user_id": load_user(call, parameters)["id"]}
    if "ServiceName" in parameters:
        _form_of(call, parameters["ServiceName"])
        where["service"] = parameters["ServiceName"]
    page = page_of_table(call, parameters, service_credentials, ("id",), **where)
    owners = call.records.all(identities, id={row["user_id"] for row in page.rows})
    names = {owner["id"]: owner["name"] for owner in owners}
    found = [_describe(call, row, names[row["user_id"]]) for row in page.rows]
    return {"ServiceSpecificCredentials": found, **page.members}


def reset_service_specific_credential(call: ServiceCall, parameters: Input) -> Output:
    """Replace the secret; the old one is rejected at once, and the expiry stays."""
    owner = load_user(call, parameters)
    row = load_credential(call, SERVICE_CREDENTIAL, owner, parameters["ServiceSpecificCredentialId"])
    form = _form_in(row)
    secret, digest = _new_secret(form, row["id"], row[form.column])
    call.records.update(service_credentials, {"digest": digest}, id=row["id"])
    return {"ServiceSpecificCredential": {**_describe(call, row, owner["name"]), form.secret: secret}}


# --- targets and condition keys ----------------------------------------------------------------------------------


def user_or_all(call: ServiceCall, parameters: Input) -> Resource:
    """Return the user whose credentials are listed; `*` for those of all users."""
    target: Target = all_resources if parameters.get("AllUsers", False) else USER
    return target(call, parameters)


def service_of_credential(call: ServiceCall, parameters: Input) -> Keys:
    """Return `iam:ServiceSpecificCredentialServiceName` of the call's credential."""
    owner = find_identity(call, Kind.USER, requested_name(Kind.USER, call, parameters))
    if owner is None:
        return {}
    id = parameters["ServiceSpecificCredentialId"]
    row = call.records.one(service_credentials, id=id, account=call.account, user_id=owner["id"])
    return {} if row is None else {"iam:ServiceSpecificCredentialServiceName": row["service"]}


# --- names and secrets -------------------------------------------------------------------------------------------


def _form_of(call: ServiceCall, service: str) -> _Form:
    if service.endswith(_DOMAIN) and service.removesuffix(_DOMAIN) in {one.service for one in call.server.catalogues}:
        return _API_KEY
    form = SERVICES.get(service)
    if form is None:
        raise NotSupportedService(f"No such service {service} is supported for Service Specific Credentials")
    return form


def _form_in(row: Row) -> _Form:
    return SERVICES[row["service"]] if row["session_policy"] is None else _API_KEY


def _session_policy(call: ServiceCall, service: str) -> str:
    """Return the session policy of an API key, which limits its user's permissions to one service."""
    statement = {"Effect": "Allow", "Action": f"{service.removesuffix(_DOMAIN)}:*", "Resource": "*"}
    policy = {"Version": LATEST, "Statement": [statement]}
    return validate_for_write(policy, PolicyType.SESSION, partition=call.partition).text


def _free_name(call: ServiceCall, owner: Row, service: str, form: _Form) -> str:
    for number in count():
        suffix = f"+{number}" if number else ""
        name = f"{owner['name']}{suffix}-at-{call.account}"
        if not call.records.count(service_credentials, service=service, **{form.column: name}):
            return name
    raise AssertionError("unreachable: count() is infinite")


def _new_secret(form: _Form, id: str, name: str) -> tuple[str, str]:
    """Return a new password or API key, and its stored digest. AWS's API keys contain the alias, ours the id."""
    if form is _API_KEY:
        key = api_key.generate_api_key(secrets.token_bytes, id)
        return key.text, key.digest.hex()
    secret = base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")
    if form.prefix:
        secret = form.prefix + base64.b64encode(f"{name}:{secret}".encode()).decode("ascii")
    return secret, hashlib.sha256(secret.encode()).hexdigest()


def _describe(call: ServiceCall, row: Row, name: str) -> Output:
    has_expired = row["expires"] is not None and row["expires"] <= call.now
    form = _form_in(row)
    return {
        **describe_credential(SERVICE_CREDENTIAL, row, name),
        "Status": "Expired" if has_expired else row["status"],
        form.public: row[form.column],
        "ExpirationDate": instant(row["expires"]),
        "ServiceName": row["service"],
    }
