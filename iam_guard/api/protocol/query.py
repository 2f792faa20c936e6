"""AWS's query protocol (IAM, STS): a form in, XML out.

The parameters come in a POST form or in the query string, which may be both at once, but no name twice. Policy
documents of IAM go out percent-encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iam_guard.api.protocol.error_codes import spoken
from iam_guard.api.protocol.form import FormGrammar, read_fields, tree_of
from iam_guard.api.protocol.messages import Parameters, WireAnswer, WireCall, WireRequest
from iam_guard.api.protocol.protocol_errors import MalformedBody, MissingAction, UnknownOperation
from iam_guard.api.protocol.service_model import Api, Operation
from iam_guard.api.protocol.traversal import read, write
from iam_guard.api.protocol.xml_body import XmlGrammar, element, xml_text
from iam_guard.errors import IamGuardError

_FORM = "application/x-www-form-urlencoded"
_ENCODED = {"iam": frozenset({"policyDocumentType"})}
"""Per service, the shapes that go out percent-encoded. Every client of IAM decodes them."""


@dataclass(frozen=True, slots=True)
class QueryCodec:
    """Reads requests to one service, writes its answers."""

    api: Api
    _grammar: XmlGrammar = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_grammar", XmlGrammar(_ENCODED.get(self.api.service, ())))

    def parse(self, request: WireRequest) -> WireCall:
        """Read which operation is called, and with what. Raises `WireFault`."""
        fields = read_fields(request.head.query_string, _form_of(request))
        operation = self._operation(fields)
        if operation.input is None:
            return WireCall(operation, {})
        names = {operation.input.name_in_query(name) for name in operation.input.members}
        return WireCall(operation, read(operation.input, tree_of(fields, names), FormGrammar()))

    def _operation(self, fields: Mapping[str, str]) -> Operation:
        action = fields.get("Action")
        if not action:
            raise MissingAction("Missing Action")
        version = fields.get("Version", "NO_VERSION_SPECIFIED")
        operation = self.api.operations.get(action)
        if operation is None or version != self.api.version:
            raise UnknownOperation(f"Could not find operation {action[:128]} for version {version[:32]}")
        return operation

    def answer(self, operation: Operation, result: Parameters, request_id: str) -> WireAnswer:
        """Write what an operation gives."""
        inside = _result(operation, result, self._grammar)
        metadata = element("ResponseMetadata", element("RequestId", xml_text(request_id)))
        body = element(f"{operation.name}Response", inside + metadata, self.api.xml_namespace)
        return _xml(operation.status, body, request_id)

    def refusal(self, error: IamGuardError, request_id: str, details: Parameters | None = None) -> WireAnswer:
        """Write an error; `details` are further members that the model has for it."""
        said = spoken(error, self.api)
        members = said.body(details or {}, request_id)
        inside = (
            element("Type", said.fault.capitalize())
            + element("Code", xml_text(said.code))
            + element("Message", xml_text(said.message))
            + ("" if said.shape is None else write(said.shape, members, self._grammar))
        )
        request = element("RequestId", xml_text(request_id))
        body = element("ErrorResponse", element("Error", inside) + request, self.api.xml_namespace)
        return _xml(said.status, body, request_id)


def _form_of(request: WireRequest) -> bytes:
    match request.head.method:
        case "GET":
            return b""
        case "POST" if not request.body or request.media_type() in (_FORM, None):
            return request.body
        case "POST":
            raise MalformedBody(f"expected the content type `{_FORM}`")
    raise UnknownOperation("expected the method GET or POST")


def _result(operation: Operation, result: Mapping[str, Any], grammar: XmlGrammar) -> str:
    if operation.output is None:
        return ""
    inside: str = write(operation.output, result, grammar)
    return element(operation.result_wrapper, inside) if operation.result_wrapper else inside


def _xml(status: int, body: str, request_id: str) -> WireAnswer:
    headers = (("content-type", "text/xml"), ("x-amzn-requestid", request_id))
    return WireAnswer(status, headers, body.encode())
