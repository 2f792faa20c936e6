"""AWS's query protocol (IAM, STS): form parameters in, XML out.

Parameters come in a POST form, the query string, or both, but no name may be repeated. Policy documents of IAM are
percent-encoded in responses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from iam_guard.api.protocol.error_codes import wire_error
from iam_guard.api.protocol.form import FormGrammar, read_fields, tree_of
from iam_guard.api.protocol.messages import Parameters, WireCall, WireRequest, WireResponse
from iam_guard.api.protocol.protocol_errors import MalformedBody, MissingAction, UnknownOperation
from iam_guard.api.protocol.service_model import Api, Operation
from iam_guard.api.protocol.traversal import read, write
from iam_guard.api.protocol.xml_body import XmlGrammar, element, xml_text
from iam_guard.errors import IamGuardError

_FORM = "application/x-www-form-urlencoded"
POLICY_DOCUMENTS = {"iam": frozenset({"policyDocumentType"})}
"""Per service, the shapes that are percent-encoded in responses, as all clients of IAM expect, which parse them."""


@dataclass(frozen=True)
class QueryCodec:
    api: Api

    @cached_property
    def _grammar(self) -> XmlGrammar:
        return XmlGrammar(POLICY_DOCUMENTS.get(self.api.service, ()))

    def parse(self, request: WireRequest) -> WireCall:
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

    def response(self, operation: Operation, result: Parameters, request_id: str) -> WireResponse:
        content = _result(operation, result, self._grammar)
        metadata = element("ResponseMetadata", element("RequestId", xml_text(request_id)))
        body = element(f"{operation.name}Response", content + metadata, self.api.xml_namespace)
        return _xml(operation.status, body, request_id)

    def error_response(self, error: IamGuardError, request_id: str) -> WireResponse:
        wire = wire_error(error, self.api)
        members = wire.body(request_id)
        content = (
            element("Type", wire.fault.capitalize())
            + element("Code", xml_text(wire.code))
            + element("Message", xml_text(wire.message))
            + ("" if wire.shape is None else write(wire.shape, members, self._grammar))
        )
        request = element("RequestId", xml_text(request_id))
        body = element("ErrorResponse", element("Error", content) + request, self.api.xml_namespace)
        return _xml(wire.status, body, request_id)


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
    content: str = write(operation.output, result, grammar)
    return element(operation.result_wrapper, content) if operation.result_wrapper else content


def _xml(status: int, body: str, request_id: str) -> WireResponse:
    headers = (("content-type", "text/xml"), ("x-amzn-requestid", request_id))
    return WireResponse(status, headers, body.encode())
