"""What an account has set for itself: STS tokens, outbound federation, properties."""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.iam_errors import FeatureDisabled, FeatureEnabled
from iam_guard.api.token_issuer import close_issuer, issuer_of, open_issuer
from iam_guard.errors import InvalidInput
from iam_guard.store.records import Row
from iam_guard.store.schema import accounts

MAX_PROPERTIES = 100
"""Of one account; AWS knows which there are, we keep what is given."""


def set_security_token_service_preferences(call: ServiceCall, given: Input) -> None:
    """Choose the version of the tokens that the global endpoint gives out."""
    call.records.update(accounts, {"sts_token_version": given["GlobalEndpointTokenVersion"]}, id=call.account)


# --- outbound federation -----------------------------------------------------------------------------------------


def enable_outbound_federation(call: ServiceCall, given: Input) -> Output:
    """Let the account have tokens for services elsewhere; each time it is enabled, its issuer is another one."""
    if issuer_of(call) is not None:
        raise FeatureEnabled("Outbound web identity federation is already enabled for your account.")
    return {"IssuerIdentifier": open_issuer(call)}


def disable_outbound_federation(call: ServiceCall, given: Input) -> None:
    """Let it have none."""
    _the_issuer(call)
    close_issuer(call)


def get_outbound_federation(call: ServiceCall, given: Input) -> Output:
    """Tell the account's issuer. Raises `FeatureDisabled`."""
    return {"IssuerIdentifier": _the_issuer(call), "JwtVendingEnabled": True}


def _the_issuer(call: ServiceCall) -> str:
    issuer = issuer_of(call)
    if issuer is None:
        raise FeatureDisabled("Outbound web identity federation is not enabled for your account.")
    return issuer


# --- properties --------------------------------------------------------------------------------------------------


def get_account_properties(call: ServiceCall, given: Input) -> Output:
    """Return all properties."""
    return {"Properties": _properties(call)}


def put_account_properties(call: ServiceCall, given: Input) -> None:
    """Set properties of one namespace; those that are not named stay. Raises `InvalidInput`."""
    wanted: dict[str, str] = given["Properties"]
    namespaces = {_namespace(key) for key in wanted}
    if len(namespaces) != 1:
        raise InvalidInput("All properties must belong to the same namespace.", place="Properties")
    properties = {**_properties(call), **wanted}
    if len(properties) > MAX_PROPERTIES:
        raise InvalidInput(f"An account can have at most {MAX_PROPERTIES} properties.", place="Properties")
    call.records.update(accounts, {"properties": properties}, id=call.account)


def _namespace(key: str) -> str:
    namespace, _, name = key.partition("/")
    if not namespace or not name or "/" in name:
        raise InvalidInput(f"The property key {key} must have the format Namespace/PropertyName.", place="Properties")
    return namespace


def _properties(call: ServiceCall) -> dict[str, str]:
    account = _account(call)
    return dict((account and account["properties"]) or {})


def _account(call: ServiceCall) -> Row | None:
    return call.records.one(accounts, id=call.account)
