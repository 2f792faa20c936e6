"""Advisory: whoever sent a request wrote lines of their own into the log of the service.

What cannot be decided and what nobody decided about is told in the log, with the path of the request and the name of
the resource. Both may have line breaks and codes of terminals in them, and secrets in places where they do not belong.
"""

from __future__ import annotations

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, Principal, Resource
from iam_guard.errors import UndecidedEndpoint

FORGED = "7\nERROR all is well\x1b[2K"


def test_the_path_of_an_undecided_endpoint_is_one_line(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    """And has no key in it that somebody has put there."""
    client = TestClient(GuardMiddleware(PlainTextResponse("what nobody decided about"), guard=guard))
    path = "/igk_ADA1_adasecret00123456789abcdefghijklmnopqrst/7%0AERROR%20all%20is%20well%1B[2K"
    assert client.get(path).json()["code"] == UndecidedEndpoint.code
    (message,) = (
        record.getMessage() for record in caplog.records if record.levelname == "ERROR"
    )  # others may log more
    assert message.startswith("GET /")
    assert message.isprintable()
    assert "adasecret" not in message


def test_what_cannot_be_decided_is_one_line(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    ada = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
    assert guard.decide(ada, "docs:GetDocument", Resource(FORGED, "111122223333")).error
    (message,) = (
        record.getMessage() for record in caplog.records if record.levelname == "ERROR"
    )  # others may log more
    assert "all is well" in message
    assert message.isprintable()
