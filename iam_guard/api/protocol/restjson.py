"""AWS's REST-JSON protocol (IAM Access Analyzer, Sign-In): method and path name the operation, the body is JSON.

Members are in the path, the query string, headers or the body, as the model defines; a payload member is the whole
body. Some operations share a path, and differ by a parameter in the query string. Greedy labels, header maps and
payloads that are no structures are not supported, since no served model has them. Paths are matched while
percent-encoded, so that an encoded `/` is part of a name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from iam_guard.api.protocol.awsjson import message_name
from iam_guard.api.protocol.error_codes import wire_error
from iam_guard.api.protocol.form import percent_decoded, read_pairs
from iam_guard.api.protocol.json_body import JsonGrammar, read_object, write_object
from iam_guard.api.protocol.messages import Parameters, WireCall, WireRequest, WireResponse
from iam_guard.api.protocol.protocol_errors import MalformedBody, UnknownOperation
from iam_guard.api.protocol.scalars import scalar_of
from iam_guard.api.protocol.service_model import Api, Operation, Shape
from iam_guard.api.protocol.traversal import malformed, read, write
from iam_guard.errors import IamGuardError

_JSON = "application/json"
_GRAMMAR = JsonGrammar("unixtimestamp")
_LABEL = re.compile(r"\{(\w+)\}")
_TIMES = {"uri": "iso8601", "querystring": "iso8601", "header": "rfc822"}


@dataclass(frozen=True, slots=True)
class _TextGrammar(JsonGrammar):
    """Values in a path, a query string or a header are text; a list repeats its name."""

    def scalar(self, shape: Shape) -> Any:
        return scalar_of("text", shape, self.timestamp_format)


class Route(NamedTuple):
    """One operation's method and path; the pattern matches the percent-encoded path.

    `query` has the parameters of the query string that the operation is known by.
    """

    operation: Operation
    pattern: re.Pattern[str]
    query: frozenset[tuple[str, str]]


def _route_of(operation: Operation) -> Route:
    """Return the route for the model's URI template."""
    path, _, query = operation.uri.partition("?")
    pieces = _LABEL.split(path)
    labels = [f"(?P<{piece}>[^/]+)" if index % 2 else re.escape(piece) for index, piece in enumerate(pieces)]
    return Route(operation, re.compile("".join(labels)), frozenset(read_pairs(query.encode())))


@dataclass(frozen=True)
class RestJsonCodec:
    api: Api

    @cached_property
    def _routes(self) -> Sequence[Route]:
        routes = map(_route_of, self.api.operations.values())
        return sorted(routes, key=lambda route: (route.pattern.groups, -len(route.query)))

    def parse(self, request: WireRequest) -> WireCall:
        operation, labels = self._route(request)
        if operation.input is None:
            return WireCall(operation, {})
        parameters = dict(_outside_body(operation.input, request, labels))
        payload = operation.input.payload
        if payload is not None:
            member = operation.input.members[payload]
            body = _body(member, request, member.members)
            return WireCall(operation, parameters | ({payload: body} if body else {}))
        in_body = {name for name, member in operation.input.members.items() if member.location is None}
        return WireCall(operation, parameters | (_body(operation.input, request, in_body) if in_body else {}))

    def _route(self, request: WireRequest) -> tuple[Operation, Mapping[str, str]]:
        path = request.head.raw_path.decode("latin-1")
        for route in self._routes:
            match = route.pattern.fullmatch(path) if route.operation.method == request.head.method else None
            if match and (not route.query or route.query <= set(read_pairs(request.head.query_string))):
                return route.operation, match.groupdict()
        raise UnknownOperation(f"expected the method and path of an operation of `{self.api.signing_name}`")

    def response(self, operation: Operation, result: Parameters, request_id: str) -> WireResponse:
        return _response(operation.output, operation.status, result, request_id)

    def error_response(self, error: IamGuardError, request_id: str) -> WireResponse:
        wire = wire_error(error, self.api)
        members = {message_name(wire, self.api): wire.message, **wire.body(request_id)}
        return _response(wire.shape, wire.status, members, request_id, ("x-amzn-errortype", wire.code))


def _outside_body(shape: Shape, request: WireRequest, labels: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    query: dict[str, list[str]] = {}
    for name, value in read_pairs(request.head.query_string):
        query.setdefault(name, []).append(value)
    for name, member in shape.members.items():
        on_wire = shape.name_on_wire(name)
        match member.location:
            case "uri":
                node: Any = percent_decoded(labels[on_wire].encode("latin-1"))
            case "querystring":
                node = _from_query(member, query.get(on_wire), name)
            case "header":
                node = request.header(on_wire.lower())
            case _:
                continue
        if node is not None:
            yield name, read(member, node, _TextGrammar(_TIMES[member.location]), (name,))


def _from_query(member: Shape, values: list[str] | None, name: str) -> Any:
    if values is None or member.kind == "list":
        return values
    if len(values) > 1:
        raise malformed("one value", (name,))
    return values[0]


def _body(shape: Shape, request: WireRequest, names: Collection[str]) -> dict[str, Any]:
    if request.body and request.media_type() != _JSON:
        raise MalformedBody(f"expected the content type `{_JSON}`")
    wire_names = {shape.name_on_wire(name) for name in names}
    body = {name: value for name, value in read_object(request.body).items() if name in wire_names}
    parameters: dict[str, Any] = read(shape, body, _GRAMMAR)
    return parameters


def _response(
    shape: Shape | None, status: int, members: Mapping[str, Any], request_id: str, *more_headers: tuple[str, str]
) -> WireResponse:
    in_header = {} if shape is None else {name: member for name, member in shape.members.items() if member.location}
    body: Any = {name: value for name, value in members.items() if name not in in_header}
    headers = [("content-type", _JSON), ("x-amzn-requestid", request_id), *more_headers]
    for name, member in in_header.items():
        if members.get(name) is not None:
            text = write(member, members[name], _TextGrammar(_TIMES["header"]), (name,))
            headers.append(((member.wire_name or name).lower(), text))
    if shape is not None and shape.payload is not None:
        shape, body = shape.members[shape.payload], body.get(shape.payload, {})
    written = body if shape is None else write(shape, body, _GRAMMAR)
    return WireResponse(status, tuple(headers), write_object(written))
