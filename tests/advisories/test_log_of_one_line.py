"""Advisory: a caller could write lines of its own to the log of the service.

The hole: undecidable requests and undecided endpoints are logged with the path of the request and the name of the
resource. Both could contain line breaks, terminal codes and secrets. Now control characters are escaped and secrets
redacted.
"""

from __future__ import annotations

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, Principal, Resource
from iam_guard.errors import UndecidedEndpoint

FORGED = "7\nERROR all is well\x1b[2K"


def test_path_of_an_undecided_endpoint_is_one_line(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    """Without the key that it contained."""
    client = TestClient(GuardMiddleware(PlainTextResponse("undecided"), guard=guard))
    path = "/igk_ADA1_adasecret00123456789abcdefghijklmnopqrst/7%0AERROR%20all%20is%20well%1B[2K"
    assert client.get(path).json()["code"] == UndecidedEndpoint.code
    (message,) = (
        record.getMessage() for record in caplog.records if record.levelname == "ERROR"
    )  # ignore other levels
    assert message.startswith("GET /")
    assert message.isprintable()
    assert "adasecret" not in message


def test_undecidable_request_is_one_line(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    ada = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
    assert guard.decide(ada, "docs:GetDocument", Resource(FORGED, "111122223333")).error
    (message,) = (
        record.getMessage() for record in caplog.records if record.levelname == "ERROR"
    )  # ignore other levels
    assert "all is well" in message
    assert message.isprintable()
