"""What clients write is read back as they wrote it, through XML both ways, or is refused and changes nothing.

boto3 writes and reads, with its own checks turned off. Rules G-77 to G-79.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.api.attacks import ATTACKS, TEXTS
from tests.api.conftest import Client
from tests.api.furnished import House, furnished
from tests.api.round_trips import ROUND_TRIPS, RoundTrip

EXAMPLES = 25


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """The server of all tests here, as it was at the beginning whenever something is written."""
    with furnished() as house:
        yield house


@pytest.fixture(scope="module")
def careless(house: House) -> Client:
    """A client of boto3 that lets everything through."""
    return house.careless()


@pytest.mark.parametrize("trip", ROUND_TRIPS, ids=lambda trip: trip.name.replace(" ", "-"))
def test_a_text_is_read_as_it_was_written(house: House, careless: Client, trip: RoundTrip) -> None:
    """Whatever it is; and a usual one is accepted."""
    house.reset()
    before, accepted = house.rows(), 0

    @settings(deadline=None, max_examples=EXAMPLES)
    @example(trip.texts.usual)
    @given(trip.texts.others | trip.texts.others | st.sampled_from(ATTACKS) | TEXTS)
    def holds(text: str) -> None:
        nonlocal before, accepted
        try:
            trip.write(careless, house.given, text)
        except ClientError as refused:
            answer = refused.response
            assert 400 <= answer["ResponseMetadata"]["HTTPStatusCode"] < 500, answer
            assert answer["Error"]["Type"] == "Sender", answer
            assert house.rows() == before
            return
        try:
            read = list(trip.read(careless, house.given, text))
            assert read
            assert read == [text] * len(read)
            accepted += 1
        finally:
            house.reset()
            before = house.rows()

    holds()
    assert accepted > 0
