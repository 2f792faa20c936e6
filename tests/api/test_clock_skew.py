"""Signatures of clients whose clocks are wrong: accepted within 15 minutes, and otherwise with the server's time."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from unittest import mock

import botocore.auth
import pytest
from botocore.compat import HAS_CRT
from botocore.exceptions import ClientError

from iam_guard.api.protocol.app import aws_api
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.snapshot import copy_to_memory
from tests.api.clock import CLOCK
from tests.api.conftest import ADMIN_KEY, Running, refusal
from tests.serving import serving

AWS_MESSAGE = re.compile(
    r"Signature (?:expired: (?P<past>\d{8}T\d{6}Z) is now earlier than (?P<first>\d{8}T\d{6}Z)"
    r"|not yet current: (?P<future>\d{8}T\d{6}Z) is still later than (?P<last>\d{8}T\d{6}Z))"
    r" \((?P<now>\d{8}T\d{6}Z) [-+] 15 min\.\)"
)
"""AWS's message. SDKs of Java read the server's time in it, from the bracket to ` - ` or ` + `."""


@contextmanager
def client_clock(offset: timedelta) -> Iterator[datetime]:
    """Set the clock of boto3 relative to the server's; return its time."""
    now = CLOCK() + offset
    signers = [botocore.auth, *([importlib.import_module("botocore.crt.auth")] if HAS_CRT else [])]
    with ExitStack() as patches:
        for signer in signers:
            patches.enter_context(
                mock.patch.object(
                    signer,
                    "get_current_datetime",
                    lambda remove_tzinfo=True: now.replace(tzinfo=None if remove_tzinfo else UTC),
                )
            )
        yield now


def basic(moment: datetime) -> str:
    return moment.strftime(botocore.auth.SIGV4_TIMESTAMP)


@pytest.mark.parametrize("service", ["iam", "sts"])
@pytest.mark.parametrize("seconds", [-900, -600, 600, 900])
def test_signature_within_15_minutes_is_accepted(server: Running, service: str, seconds: int) -> None:
    """As at AWS, where other services take less; so does a guarded application."""
    client = server.client(ADMIN_KEY, service)
    with client_clock(timedelta(seconds=seconds)):
        client.get_user() if service == "iam" else client.get_caller_identity()


@pytest.mark.parametrize("service", ["iam", "sts"])
@pytest.mark.parametrize("seconds", [-901, 901])
@pytest.mark.over_http
def test_response_beyond_15_minutes_has_the_time_of_the_server(server: Running, service: str, seconds: int) -> None:
    """In AWS's message and in the header `Date`: SDKs correct their clocks from one or the other, and retry."""
    client = server.client(ADMIN_KEY, service)
    with client_clock(timedelta(seconds=seconds)) as wrong, pytest.raises(ClientError) as refused:
        client.get_user() if service == "iam" else client.get_caller_identity()
    response = refused.value.response
    assert response["Error"]["Code"] == "SignatureDoesNotMatch"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 403
    message = AWS_MESSAGE.fullmatch(response["Error"]["Message"])
    assert message is not None, response["Error"]["Message"]
    now, bound = CLOCK(), CLOCK() + timedelta(minutes=15) * (1 if seconds > 0 else -1)
    assert message["now"] == basic(now)
    assert (message["past"] or message["future"], message["first"] or message["last"]) == (basic(wrong), basic(bound))
    date = parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert abs(date - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.over_http
def test_allowed_skew_of_the_api_is_a_setting(server: Running) -> None:
    """The one of the application does not count."""
    guard = guard_with_store(copy_to_memory(server.store), Settings(clock_skew=5.0, api_clock_skew=60.0))
    guard.clock = CLOCK
    with serving(aws_api(guard)) as url:
        client = replace(server, url=url).client(ADMIN_KEY)
        with client_clock(timedelta(seconds=-60)):
            client.get_user()
        with client_clock(timedelta(seconds=-61)), refusal("SignatureDoesNotMatch", "- 1 min.)", 403):
            client.get_user()
    guard.close()
