"""AWS's JSON protocol 1.1 (Organizations, IAM Identity Center): `X-Amz-Target` says what, the body is one object."""

from __future__ import annotations

from dataclasses import dataclass

from iam_guard.api.protocol.error_codes import WireError, spoken
from iam_guard.api.protocol.json_body import JsonGrammar, read_object, write_object
from iam_guard.api.protocol.messages import Parameters, WireAnswer, WireCall, WireRequest
from iam_guard.api.protocol.protocol_errors import MalformedBody, UnknownOperation
from iam_guard.api.protocol.service_model import Api, Operation
from iam_guard.api.protocol.traversal import read, write
from iam_guard.errors import IamGuardError

_JSON = "application/x-amz-json-1.1"
_GRAMMAR = JsonGrammar("unixtimestamp")


@dataclass(frozen=True, slots=True)
class JsonCodec:
    """Reads requests to one service, writes its answers."""

    api: Api

    def parse(self, request: WireRequest) -> WireCall:
        """Read which operation is called, and with what. Raises `WireFault`."""
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

    def answer(self, operation: Operation, result: Parameters, request_id: str) -> WireAnswer:
        """Write what an operation gives."""
        body = {} if operation.output is None else write(operation.output, result, _GRAMMAR)
        return WireAnswer(operation.status, _headers(request_id), write_object(body))

    def refusal(self, error: IamGuardError, request_id: str, details: Parameters | None = None) -> WireAnswer:
        """Write an error; `details` are further members that the model has for it."""
        said = spoken(error, self.api)
        members = {message_name(said, self.api): said.message, **said.body(details or {}, request_id)}
        written = members if said.shape is None else write(said.shape, members, _GRAMMAR)
        return WireAnswer(said.status, _headers(request_id), write_object({"__type": said.code, **written}))


def message_name(said: WireError, api: Api) -> str:
    """Return the member that carries the message: the error's own, or the one that the service's errors have."""
    shapes = [said.shape] if said.shape else [error.shape for error in api.errors.values()]
    return "Message" if any("Message" in shape.members for shape in shapes) else "message"


def _headers(request_id: str) -> tuple[tuple[str, str], ...]:
    return ("content-type", _JSON), ("x-amzn-requestid", request_id)
