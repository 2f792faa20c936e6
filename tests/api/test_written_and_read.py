"""Texts of clients are returned unchanged, through XML both ways, or rejected without an effect.

By boto3, without its own validation. Rules G-77 to G-79.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.api.attacks import ATTACKS, TEXTS
from tests.api.conftest import Client
from tests.api.round_trips import ROUND_TRIPS, RoundTrip
from tests.api.sample_server import SampleServer, sample_server

EXAMPLES = 10


@pytest.fixture(scope="module")
def sample() -> Iterator[SampleServer]:
    """The server of all tests in this module, reset before each write."""
    with sample_server() as sample:
        yield sample


@pytest.fixture(scope="module")
def unvalidated(sample: SampleServer) -> Client:
    """A boto3 client without parameter validation."""
    return sample.unvalidated()


@pytest.mark.parametrize("trip", ROUND_TRIPS, ids=lambda trip: trip.name.replace(" ", "-"))
def test_text_is_returned_unchanged(sample: SampleServer, unvalidated: Client, trip: RoundTrip) -> None:
    """Any text; a usual one is accepted."""
    sample.reset()
    before, accepted = sample.rows(), 0

    @settings(deadline=None, max_examples=EXAMPLES)
    @example(trip.texts.usual)
    @given(trip.texts.others | trip.texts.others | st.sampled_from(ATTACKS) | TEXTS)
    def holds(text: str) -> None:
        nonlocal before, accepted
        try:
            trip.write(unvalidated, sample.parameters, text)
        except ClientError as refused:
            answer = refused.response
            assert 400 <= answer["ResponseMetadata"]["HTTPStatusCode"] < 500, answer
            assert answer["Error"]["Type"] == "Sender", answer
            assert sample.rows() == before
            return
        try:
            read = list(trip.read(unvalidated, sample.parameters, text))
            assert read
            assert read == [text] * len(read)
            accepted += 1
        finally:
            sample.reset()
            before = sample.rows()

    holds()
    assert accepted > 0
