"""Every operation and every error of six services, with botocore as the client."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import pytest

from iam_guard.api.protocol.dispatch import codec_of
from iam_guard.api.protocol.protocol_errors import ValidationFailure
from iam_guard.api.protocol.query import QueryCodec
from iam_guard.api.protocol.service_model import Api, Operation, load_api
from iam_guard.model.own_services import MODELS
from tests.api.protocol.client import operation_model, received, request, sent, service_model
from tests.api.protocol.generate import Maker

SEEDS = range(6)
REQUEST_ID = "4a1c0e2e-b206-47b1-8e5c-0123456789ab"


def maker_of(api: Api, seed: object) -> Maker:
    return Maker(str(seed), has_empty=api.protocol != "query")


def test_models_have_all_operations() -> None:
    """Some four hundred."""
    for service in MODELS:
        assert load_api(service).operations.keys() == set(service_model(service).operation_names)
    assert sum(len(load_api(service).operations) for service in MODELS) > 380
    assert sum(len(load_api(service).errors) for service in MODELS) > 120


@pytest.mark.parametrize("service", MODELS)
def test_botocores_requests_are_parsed(service: str, subtests: pytest.Subtests) -> None:
    """Parameters are equal."""
    for name, operation in load_api(service).operations.items():
        with subtests.test(name):
            for seed in SEEDS:
                maker = maker_of(load_api(service), (name, seed))
                parameters = {} if operation.input is None else maker.value(operation.input)
                call = codec_of(service).parse(sent(service, name, parameters))
                assert call.operation is operation
                assert call.parameters == parameters


@pytest.mark.parametrize("service", ["iam", "sts"])
def test_query_string_is_equivalent_to_a_form(service: str, subtests: pytest.Subtests) -> None:
    """GET, as with presigned URLs and curl."""
    signature = "&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00"
    for name, operation in load_api(service).operations.items():
        with subtests.test(name):
            parameters = {} if operation.input is None else maker_of(load_api(service), name).value(operation.input)
            form = sent(service, name, parameters).body.decode()
            assert codec_of(service).parse(request("GET", query=form + signature)) == (operation, parameters)


def decoded(shape: Any, value: Any) -> Any:
    """Percent-decode the policy documents, as boto3 does after parsing."""
    match shape.type_name:
        case "structure":
            return {name: decoded(shape.members[name], each) for name, each in value.items()}
        case "list":
            return [decoded(shape.member, each) for each in value]
        case "map":
            return {key: decoded(shape.value, each) for key, each in value.items()}
    return unquote(value) if shape.name == "policyDocumentType" else value


@pytest.mark.parametrize("service", MODELS)
def test_botocore_parses_our_responses(service: str, subtests: pytest.Subtests) -> None:
    """Results are equal, with the request id."""
    for name, operation in load_api(service).operations.items():
        with subtests.test(name):
            check_responses(service, name, operation)


def check_responses(service: str, name: str, operation: Operation) -> None:
    shape = operation_model(service, name).output_shape
    for seed in SEEDS:
        maker = maker_of(load_api(service), (name, seed, "out"))
        result = {} if operation.output is None else maker.value(operation.output)
        if operation.output is not None and operation.output.payload is not None:
            result.setdefault(operation.output.payload, {})  # a body is always one
        parsed = received(service, codec_of(service).response(operation, result, REQUEST_ID), shape)
        metadata = parsed.pop("ResponseMetadata")
        assert metadata["RequestId"] == REQUEST_ID
        assert metadata["HTTPStatusCode"] == 200
        assert (parsed if shape is None or service != "iam" else decoded(shape, parsed)) == result


@pytest.mark.parametrize("service", MODELS)
def test_botocore_parses_every_error_of_the_models(service: str, subtests: pytest.Subtests) -> None:
    """Code, message, status, fault and further members."""
    for code in load_api(service).errors:
        with subtests.test(code):
            check_error(service, code)


def check_error(service: str, code: str) -> None:
    model = load_api(service).errors[code]
    message = "no <such> & \"entity\" '日本'"
    others = {name for name in model.shape.members if name.lower() not in ("message", "requestid")}
    details = {name: maker_of(load_api(service), (code, name)).value(model.shape.members[name]) for name in others}
    attributes = {"code": code, "fault": model.fault, "wire_status": 500, "details": details}
    error = type("Raised", (ValidationFailure,), attributes)
    answer = codec_of(service).error_response(error(message), REQUEST_ID)
    parsed = received(service, answer, None)
    shape = service_model(service).shape_for_error_code(code)
    assert parsed["Error"]["Code"] == code
    assert parsed["Error"]["Message"] == message
    assert parsed["ResponseMetadata"]["RequestId"] == REQUEST_ID
    default = 500 if model.fault == "receiver" or load_api(service).protocol != "json" else 400
    assert answer.status == (model.status or default)
    modelled = received(service, answer, shape)
    assert {name: modelled.get(name) for name in others} == details
    if "RequestId" in model.shape.members:
        assert modelled["RequestId"] == REQUEST_ID


def test_iam_policy_documents_are_percent_encoded() -> None:
    """RFC 3986: a space is %20, so that both kinds of decoders work."""
    codec = codec_of("iam")
    assert isinstance(codec, QueryCodec)
    document = '{"a": "+ /~é"}'
    result = {"RoleName": "r", "PolicyName": "p", "PolicyDocument": document}
    body = codec.response(codec.api.operations["GetRolePolicy"], result, REQUEST_ID).body.decode()
    written = re.search(r"<PolicyDocument>(.*)</PolicyDocument>", body)
    assert written
    assert written[1] == "%7B%22a%22%3A%20%22%2B%20%2F~%C3%A9%22%7D"
