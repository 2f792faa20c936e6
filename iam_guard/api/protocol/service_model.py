"""AWS's service models, as botocore ships them, in the terms of the codecs.

A model is loaded on the first use of its service, and cached; botocore is imported only then, since that is slow. Only
botocore's own data are read: models in a user's folder for the AWS CLI don't change a server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal

from iam_guard.errors import ConfigurationError, Fault
from iam_guard.imports import requires_extra

OWN_MODELS: Final = Path(__file__).parents[1] / "own/models"
"""The folder with the model of `iam-guard`, in botocore's form."""
Protocol = Literal["query", "json", "rest-json"]
Scalar = Literal["string", "integer", "long", "float", "double", "boolean", "timestamp", "blob"]
Kind = Literal["structure", "list", "map", "document"] | Scalar


@dataclass(frozen=True, slots=True)
class Limits:
    """The model's constraints on a value. `minimum` and `maximum` are of lengths or of numbers."""

    minimum: int | None
    maximum: int | None
    pattern: str | None
    enum: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Shape:
    """A shape as the referring member sees it. Its parts are resolved lazily, since shapes can be recursive."""

    name: str
    kind: Kind
    wire_name: str | None
    """The member's name on the wire, if it differs from the member's own."""
    location: str | None
    """`uri`, `querystring` or `header`; None for the body."""
    payload: str | None
    """The member of a structure that is the whole body; None if the members are in it."""
    flattened: bool
    timestamp_format: str | None
    is_sensitive: bool
    is_union: bool
    required: tuple[str, ...]
    limits: Limits
    source: Any = field(repr=False)

    @classmethod
    def of(cls, source: Any) -> Shape:
        """Convert a shape of botocore."""
        traits, wire = source.metadata, source.serialization
        return cls(
            name=source.name,
            kind="document" if traits.get("document") else source.type_name,
            wire_name=wire.get("name"),
            location=wire.get("location"),
            payload=wire.get("payload"),
            flattened=bool(wire.get("flattened")),
            timestamp_format=wire.get("timestampFormat"),
            is_sensitive=bool(traits.get("sensitive")),
            is_union=bool(traits.get("union")),
            required=tuple(traits.get("required", ())),
            limits=Limits(traits.get("min"), traits.get("max"), traits.get("pattern"), tuple(traits.get("enum", ()))),
            source=source,
        )

    @cached_property
    def members(self) -> Mapping[str, Shape]:
        return {name: Shape.of(member) for name, member in self.source.members.items()}

    @cached_property
    def element(self) -> Shape:
        return Shape.of(self.source.member)

    @cached_property
    def key(self) -> Shape:
        return Shape.of(self.source.key)

    @cached_property
    def value(self) -> Shape:
        return Shape.of(self.source.value)

    def name_on_wire(self, member: str) -> str:
        """Return the wire name of a member of this structure."""
        return self.members[member].wire_name or member

    def name_in_query(self, member: str) -> str:
        """Return the wire name in the query protocol, where a flattened list's element may define it."""
        return self._names_in_query[member]

    @cached_property
    def _names_in_query(self) -> Mapping[str, str]:
        element_names = {
            name: shape.element.wire_name
            for name, shape in self.members.items()
            if shape.kind == "list" and shape.flattened
        }
        return {name: element_names.get(name) or self.name_on_wire(name) for name in self.members}


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """An error in the model. `status` is None if the model has none."""

    status: int | None
    fault: Fault
    shape: Shape


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `result_wrapper` is for the query protocol."""

    name: str
    method: str
    uri: str
    status: int
    input: Shape | None
    output: Shape | None
    result_wrapper: str | None
    is_unsigned: bool


@dataclass(frozen=True, slots=True)
class Api:
    """One service in its newest version: names on the wire, operations by name, errors by code."""

    service: str
    signing_name: str
    protocol: Protocol
    version: str
    target_prefix: str
    xml_namespace: str
    operations: Mapping[str, Operation] = field(repr=False)
    errors: Mapping[str, ErrorShape] = field(repr=False)


@cache
def load_api(service: str) -> Api:
    """Load a service model, by its name in boto3. Raises `ConfigurationError` for an unknown service."""
    loader = own_loader()
    try:
        description = loader.load_service_model(service, "service-2")
    except import_module("botocore.exceptions").UnknownServiceError:
        raise ConfigurationError(f"expected an AWS service, got `{service}`") from None
    return api_of(service, description)


def own_loader() -> Any:
    """Return a loader of botocore's own data, and of the model of our own service."""
    with requires_extra("server", "the AWS-compatible API"):
        loaders = import_module("botocore.loaders")
    paths = [loaders.Loader.BUILTIN_DATA_PATH, str(OWN_MODELS)]
    return loaders.Loader(extra_search_paths=paths, include_default_search_paths=False)


def api_of(service: str, description: Mapping[str, Any]) -> Api:
    """Convert a service description in botocore's format."""
    model = import_module("botocore.model").ServiceModel(description, service)
    return Api(
        service=model.service_name,
        signing_name=model.signing_name,
        protocol=model.metadata["protocol"],
        version=model.metadata["apiVersion"],
        target_prefix=model.metadata.get("targetPrefix", ""),
        xml_namespace=model.metadata.get("xmlNamespace", ""),
        operations={name: _operation(model.operation_model(name)) for name in model.operation_names},
        errors={shape.error_code: _error(shape, description["shapes"][shape.name]) for shape in model.error_shapes},
    )


def _operation(source: Any) -> Operation:
    output = source.output_shape
    return Operation(
        name=source.name,
        method=source.http.get("method", "POST"),
        uri=source.http.get("requestUri", "/"),
        status=source.http.get("responseCode", 200),
        input=None if source.input_shape is None else Shape.of(source.input_shape),
        output=None if output is None else Shape.of(output),
        result_wrapper=None if output is None else output.serialization.get("resultWrapper"),
        is_unsigned=source.auth_type == "none",
    )


def _error(source: Any, description: Mapping[str, Any]) -> ErrorShape:
    status: int | None = description.get("error", {}).get("httpStatusCode")
    is_receiver = description.get("fault") or (status or 400) >= 500  # botocore's shapes lack `fault`
    return ErrorShape(status, "receiver" if is_receiver else "sender", Shape.of(source))
