"""The services of the AWS-compatible API in this process: clients with the methods of boto3's, without HTTP.

    iam = client(guard, "iam", principal)       # acts as a principal
    iam = current_client("iam")                 # in a handler: acts as the caller of the current request
    iam = client(guard, "iam", account="111122223333", reason="sign-up")  # acts as the application itself
    iam.create_user(UserName="rita")

The same model validates, the same tables resolve, authorize and execute in one transaction, and the same records are
written. A client decides each permission itself: a handler's own `requires` is no substitute. Each call is a
transaction of its own, and a decision after it, in this process, sees its change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import Any, Final

from iam_guard.api.application_caller import application_principal, check_account
from iam_guard.api.call import ApiServer, Verified
from iam_guard.api.protocol.dispatch import Destination, destination_of
from iam_guard.api.protocol.error_codes import WireError, wire_error
from iam_guard.api.protocol.operation_call import OperationCall, server_of
from iam_guard.api.protocol.own_app import known_error
from iam_guard.api.protocol.python_form import PythonParameters, PythonResults
from iam_guard.api.protocol.query import POLICY_DOCUMENTS
from iam_guard.api.protocol.service_model import own_loader
from iam_guard.api.protocol.traversal import read, write
from iam_guard.api.protocol.validation import reject_control_characters
from iam_guard.audit.record.event_ids import new_id
from iam_guard.authn.tokens.assertion_verifier import AssertionVerifier
from iam_guard.errors import AccessDenied, ConfigurationError, IamGuardError
from iam_guard.guard.current_call import request_served_by
from iam_guard.guard.guard import Guard
from iam_guard.imports import requires_extra
from iam_guard.model.own_services import SERVICES
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.web.call_context import CurrentCall, current_call, require_unfinished

_PREFIXES: Final = {
    name: service.prefix
    for service in SERVICES
    if service.operations and service.model
    for name in (service.prefix, service.model)
}
"""Name of a served service, in boto3 or as the prefix of its actions -> that prefix."""
_UNUSED: Final = "http://in-process.invalid"
_TOO_MANY_REQUESTS, _FORBIDDEN, _SERVER_ERROR = 429, 403, 500
_THROTTLED: Final = frozenset({"Throttling", "ThrottlingException", "TooManyRequestsError"})


def client(
    guard: Guard,
    service: str,
    principal: Principal | None = None,
    *,
    account: str | None = None,
    reason: str | None = None,
    across_accounts: bool = False,
) -> Any:
    """Return a client of `service` (`iam`, `sts`, `accessanalyzer`, `signin`) that acts as a principal.

    With `account` and `reason` instead, it acts as the application itself in that account, with the setting
    `application_policy`; `reason` is recorded. While a request is served, an account that is not the caller's needs
    `across_accounts`. It has the methods of boto3's client of that service. Raises `ConfigurationError` for another
    service, for invalid arguments, and without the extra `client`.
    """
    if account is not None and principal is None:
        principal = application_principal(guard, account, reason)
    elif not isinstance(principal, Principal) or account is not None or reason is not None:
        message = f"expected a Principal, or `account` and `reason`, got `{type(principal).__name__}`"
        raise ConfigurationError(message, place="principal")
    facts = Call(new_id(), region=guard.settings.region)
    return _bound(service, _Caller(guard, _server_of(guard), principal, facts, across_accounts=across_accounts))


def current_client(service: str) -> Any:
    """Return a client of `service` that acts as the caller of the current request, as long as that is served.

    Its calls are recorded with the request's id, address and user agent. A caller with a session cookie may change
    something only in a request of the site's own pages, or with the session's token, whatever its method. Raises what
    `client` raises, and `ConfigurationError` outside of a request.
    """
    call = current_call()
    return _bound(service, _Caller(call.guard, _server_of(call.guard), call.caller, call.facts, call))


def _server_of(guard: Guard) -> ApiServer:
    return server_of(guard, AssertionVerifier(guard.settings))


@dataclass(frozen=True, slots=True)
class _Caller:
    """For whom a client calls."""

    guard: Guard
    server: ApiServer
    principal: Principal
    facts: Call
    served: CurrentCall | None = None
    """The request whose caller it is."""
    across_accounts: bool = False
    """Whether the application may act in another account than the caller of a request."""
    requester: Principal | None = None
    """In whose request the application acts."""

    def now(self) -> _Caller:
        """Return for whom a call is made now. Raises `ConfigurationError` for a client whose request is over."""
        if self.served is not None:
            require_unfinished(self.served)
        if not self.principal.is_application:
            return self
        check_account(self.guard, self.principal, across_accounts=self.across_accounts)
        served = request_served_by(self.guard)
        return self if served is None else replace(self, facts=served.call, requester=served.caller)

    def check_change(self) -> None:
        """Raise `AccessDenied` for a change that another site may cause."""
        browser = None if self.served is None else self.served.browser
        if browser is not None and not browser.may_change:
            message = "expected a request of this site's own pages, or the session's token, for a change"
            raise AccessDenied(message, place="cookie")


def _bound(service: str, caller: _Caller) -> Any:
    """Return a copy of the service's client for one caller."""
    prefix = _PREFIXES.get(service)
    if prefix is None:
        names = ", ".join(sorted(_PREFIXES))
        raise ConfigurationError(f"expected a service of {names}, got `{service[:100]}`", place="service")
    template = _template(prefix, caller.guard.settings.region)
    made = object.__new__(type(template))
    vars(made).update(vars(template), _iam_guard_caller=caller, _iam_guard_prefix=prefix)
    return made


@cache
def _template(prefix: str, region: str) -> Any:
    """Return a client of botocore whose calls stay in this process."""
    with requires_extra("client", "a client in the process"):
        session = import_module("botocore.session").Session(session_vars={"profile": (None, None, None, None)})
    session.register_component("data_loader", own_loader())
    session.get_component("event_emitter").register_last("creating-client-class", _add_base)
    [model] = [service.model for service in SERVICES if service.prefix == prefix]
    nothing = import_module("botocore.config").Config(signature_version=import_module("botocore").UNSIGNED)
    return session.create_client(model, region_name=region, endpoint_url=_UNUSED, config=nothing)


def _add_base(class_attributes: dict[str, Any], base_classes: list[type], **_: object) -> None:
    class_attributes.pop("generate_presigned_url", None)
    base_classes.insert(0, InProcessClient)


class InProcessClient:
    """What a client of botocore does instead of a request."""

    _iam_guard_caller: _Caller
    _iam_guard_prefix: str
    _emit_api_params: Callable[..., dict[str, Any]]
    meta: Any
    exceptions: Any

    @property
    def guard(self) -> Guard:
        """The guard that its calls go to."""
        return self._iam_guard_caller.guard

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> dict[str, Any]:
        """Call an operation. Raises the client's exceptions; each is an `IamGuardError`, too."""
        call = self.begin(operation_name, api_params)
        with self.refusing(call):
            self.check(call)
            return self.perform(call)

    def begin(self, operation_name: str, api_params: dict[str, Any]) -> OperationCall:
        """Return the call of an operation. Raises botocore's `ParamValidationError` for the type of a parameter."""
        caller, destination = self._iam_guard_caller.now(), destination_of(self._iam_guard_prefix)
        model = self.meta.service_model.operation_model(operation_name)
        parameters = self._emit_api_params(api_params=api_params, operation_model=model, context={})
        _check_types(parameters, model)
        return _operation_call(caller, destination, operation_name, parameters)

    def check(self, call: OperationCall) -> None:
        """Raise the error of a call that another site may cause, or whose parameters are invalid."""
        if call.changes:
            self._iam_guard_caller.check_change()
        reject_control_characters(call.parameters)
        call.validate()

    def perform(self, call: OperationCall, verified: Verified | None = None) -> dict[str, Any]:
        """Perform a call, and return its answer; in a thread that may wait for the store."""
        result, operation = call.perform(verified), call.operation
        results = _results(destination_of(self._iam_guard_prefix))
        output = {} if operation.output is None else write(operation.output, result.output, results)
        return output | {"ResponseMetadata": _metadata(operation.status, call.facts)}

    @contextmanager
    def refusing(self, call: OperationCall) -> Iterator[None]:
        """Report an error of a call, and raise the client's exception instead."""
        try:
            yield
        except Exception as failure:
            error, served = known_error(failure, call.facts), self._iam_guard_caller.served
            call.report(error)
            refusal = self._failure(error, call)
            if served is not None and refusal.status != _SERVER_ERROR:
                served.refusal = refusal  # a framework may turn it into a 500 before the middleware sees it
            raise refusal from failure

    def _failure(self, error: IamGuardError, call: OperationCall) -> IamGuardError:
        """Return the exception of the client for an error, which is an `IamGuardError`, too."""
        api, facts = destination_of(self._iam_guard_prefix).codec.api, call.facts
        wire = wire_error(error, api)
        is_query = api.protocol == "query"
        members = {} if wire.shape is None or is_query else wire.shape.members
        side = {"Type": wire.fault.capitalize()} if is_query else {}
        response = {
            "Error": {**side, "Code": wire.code, "Message": wire.message},
            "ResponseMetadata": _metadata(wire.status, facts),
            **wire.body(facts.request_id),
            **({"message": wire.message} if "message" in members else {}),
        }
        plain = self.exceptions.from_code(wire.code)(response, call.operation.name)
        of_client: Any = type(plain)
        of_guard: Any = type(error)
        made: IamGuardError = _failure_class(of_client, of_guard)(plain, error)
        vars(made).update(_answer(wire))
        return made

    def generate_presigned_url(self, *_: object, **__: object) -> str:
        """Raise `ConfigurationError`: a client in the process has no credentials, which a URL needs."""
        raise ConfigurationError("expected a call of an operation: a client in the process has no credentials for URLs")


def _operation_call(
    caller: _Caller, destination: Destination, name: str, parameters: Mapping[str, Any]
) -> OperationCall:
    api = destination.codec.api
    operation, grammar = api.operations[name], _parameters(api.protocol)
    values = {} if operation.input is None else read(operation.input, parameters, grammar)
    return OperationCall(
        caller.guard,
        caller.facts,
        caller.server,
        destination.service,
        operation,
        values,
        caller.principal,
        requester=caller.requester,
    )


@cache
def _parameters(protocol: str) -> PythonParameters:
    return PythonParameters(import_module("botocore.utils").parse_to_aware_datetime, protocol == "query")


def _results(destination: Destination) -> PythonResults:
    return PythonResults(POLICY_DOCUMENTS.get(destination.codec.api.service, frozenset()))


def _check_types(parameters: Mapping[str, Any], model: Any) -> None:
    """Raise botocore's `ParamValidationError` as boto3's client does."""
    if model.input_shape is not None:
        report = import_module("botocore.validate").ParamValidator().validate(parameters, model.input_shape)
        if report.has_errors():
            raise import_module("botocore.exceptions").ParamValidationError(report=report.generate_report())


def _metadata(status: int, facts: Call) -> dict[str, Any]:
    headers = {"x-amzn-requestid": facts.request_id}
    return {"RequestId": facts.request_id, "HTTPStatusCode": status, "HTTPHeaders": headers, "RetryAttempts": 0}


def _answer(wire: WireError) -> dict[str, Any]:
    """Return how a middleware answers the exception of a client, if a handler does not catch it."""
    if wire.status == _FORBIDDEN:
        return {"status": _FORBIDDEN, "fault": "sender"}
    if wire.code in _THROTTLED:
        return {"status": _TOO_MANY_REQUESTS, "fault": "receiver"}
    return {"status": _SERVER_ERROR, "fault": "receiver"}


@cache
def _failure_class(of_client: Any, of_guard: Any) -> Any:
    """Return the class of an exception that is both, and is made of one of each."""

    def initialize(self: Any, plain: Exception, error: IamGuardError) -> None:
        self.args = plain.args
        vars(self).update(vars(error) | vars(plain))

    return type(of_client.__name__, (of_client, of_guard), {"__init__": initialize, "__str__": Exception.__str__})
