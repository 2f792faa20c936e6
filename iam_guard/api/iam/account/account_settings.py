"""Account settings: alias, STS token version, outbound federation, account properties.

There is at most one alias per account, unique among accounts (G-77, G-79).
"""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.paging import page_of_list
from iam_guard.api.service_errors import FeatureDisabled, FeatureEnabled
from iam_guard.api.token_issuer import disable_issuer, enable_issuer, issuer_of
from iam_guard.errors import EntityAlreadyExists, InvalidInput, NoSuchEntity, ValidationError
from iam_guard.model.arn import is_account_id
from iam_guard.store.schema import accounts

MAX_PROPERTIES = 100
"""Properties of one account. AWS has a fixed set of keys; here every key is accepted."""


def create_account_alias(call: ServiceCall, parameters: Input) -> None:
    """Set or replace the account's alias. Raises `EntityAlreadyExists` if it is taken."""
    alias: str = parameters["AccountAlias"]
    if is_account_id(alias):
        raise ValidationError("The account alias must not be an account ID.", place="AccountAlias")  # G-79
    if call.records.count(accounts, alias=alias):
        raise EntityAlreadyExists(f"The account alias {alias} already exists.")
    call.records.update(accounts, {"alias": alias}, id=call.account)


def delete_account_alias(call: ServiceCall, parameters: Input) -> None:
    """Remove the alias. Raises `NoSuchEntity` if the account doesn't have it."""
    alias: str = parameters["AccountAlias"]
    if not call.records.update(accounts, {"alias": None}, id=call.account, alias=alias):
        raise NoSuchEntity(f"The account alias {alias} cannot be found.")


def list_account_aliases(call: ServiceCall, parameters: Input) -> Output:
    """List the alias, if there is one."""
    alias = call.account_value("alias")
    page = page_of_list(parameters, [] if alias is None else [alias], lambda alias: (alias,))
    return {"AccountAliases": page.rows, **page.members}


def set_security_token_service_preferences(call: ServiceCall, parameters: Input) -> None:
    """Set the version of the session tokens from the global endpoint."""
    call.records.update(accounts, {"sts_token_version": parameters["GlobalEndpointTokenVersion"]}, id=call.account)


# --- outbound federation -----------------------------------------------------------------------------------------


def enable_outbound_federation(call: ServiceCall, parameters: Input) -> Output:
    """Enable identity tokens for the account; each time, it gets a new issuer. Raises `FeatureEnabled`."""
    if issuer_of(call) is not None:
        raise FeatureEnabled("Outbound web identity federation is already enabled for your account.")
    return {"IssuerIdentifier": enable_issuer(call)}


def disable_outbound_federation(call: ServiceCall, parameters: Input) -> None:
    """Disable identity tokens for the account. Raises `FeatureDisabled`."""
    _load_issuer(call)
    disable_issuer(call)


def get_outbound_federation(call: ServiceCall, parameters: Input) -> Output:
    """Return the account's issuer. Raises `FeatureDisabled`."""
    return {"IssuerIdentifier": _load_issuer(call), "JwtVendingEnabled": True}


def _load_issuer(call: ServiceCall) -> str:
    issuer = issuer_of(call)
    if issuer is None:
        raise FeatureDisabled("Outbound web identity federation is not enabled for your account.")
    return issuer


# --- properties --------------------------------------------------------------------------------------------------


def get_account_properties(call: ServiceCall, parameters: Input) -> Output:
    return {"Properties": _properties(call)}


def put_account_properties(call: ServiceCall, parameters: Input) -> None:
    """Set properties of one namespace; all others stay. Raises `InvalidInput`."""
    changes: dict[str, str] = parameters["Properties"]
    namespaces = {_namespace(key) for key in changes}
    if len(namespaces) != 1:
        raise InvalidInput("All properties must belong to the same namespace.", place="Properties")
    properties = {**_properties(call), **changes}
    if len(properties) > MAX_PROPERTIES:
        raise InvalidInput(f"An account can have at most {MAX_PROPERTIES} properties.", place="Properties")
    call.records.update(accounts, {"properties": properties}, id=call.account)


def _namespace(key: str) -> str:
    namespace, _, name = key.partition("/")
    if not namespace or not name or "/" in name:
        raise InvalidInput(f"The property key {key} must have the format Namespace/PropertyName.", place="Properties")
    return namespace


def _properties(call: ServiceCall) -> dict[str, str]:
    return dict(call.account_value("properties") or {})
