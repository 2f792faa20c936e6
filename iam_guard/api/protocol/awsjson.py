"""AWS's JSON protocol 1.1 (Organizations, IAM Identity Center): `X-Amz-Target` and a JSON object as body."""

from __future__ import annotations

from dataclasses import dataclass

from iam_guard.api.protocol.error_codes import WireError, wire_error
from iam_guard.api.protocol.json_body import JsonGrammar, read_object, write_object
from iam_guard.api.protocol.messages import Parameters, WireCall, WireRequest, WireResponse
from iam_guard.api.protocol.protocol_errors import MalformedBody, UnknownOperation
from iam_guard.api.protocol.service_model import Api, Operation
from iam_guard.api.protocol.traversal import read, write
from iam_guard.errors import IamGuardError

_JSON = "application/x-amz-json-1.1"
_GRAMMAR = JsonGrammar("unixtimestamp")


@dataclass(frozen=True, slots=True)
class JsonCodec:
    api: Api

    def parse(self, request: WireRequest) -> WireCall:
        operation = self._operation(request)
        if request.media_type() != _JSON:
            raise MalformedBody(f"expected the content type `{_JSON}`")
        body = read_object(request.body)
        return WireCall(operation, {} if operation.input is None else read(operation.input, body, _GRAMMAR))

    def _operation(self, request: WireRequest) -> Operation:
        prefix, _, name = (request.header("x-amz-target") or "").rpartition(".")
        operation = self.api.operations.get(name)
        if operation is None or prefix != self.api.target_prefix or request.head.method != "POST":
            raise UnknownOperation(f"expected POST with an operation of `{self.api.target_prefix}` in `X-Amz-Target`")
        return operation

    def response(self, operation: Operation, result: Parameters, request_id: str) -> WireResponse:
        body = {} if operation.output is None else write(operation.output, result, _GRAMMAR)
        return WireResponse(operation.status, _headers(request_id), write_object(body))

    def error_response(self, error: IamGuardError, request_id: str) -> WireResponse:
        wire = wire_error(error, self.api)
        members = {message_name(wire, self.api): wire.message, **wire.body(request_id)}
        written = members if wire.shape is None else write(wire.shape, members, _GRAMMAR)
        return WireResponse(wire.status, _headers(request_id), write_object({"__type": wire.code, **written}))


def message_name(wire: WireError, api: Api) -> str:
    """Return the name of the message member: the error's own, or the one that the service's errors have."""
    shapes = [wire.shape] if wire.shape else [error.shape for error in api.errors.values()]
    return "Message" if any("Message" in shape.members for shape in shapes) else "message"


def _headers(request_id: str) -> tuple[tuple[str, str], ...]:
    return ("content-type", _JSON), ("x-amzn-requestid", request_id)
