"""A call of a client in the process, compared with the same call of boto3 over HTTP: one store, alternating."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import boto3

from benchmarks.control_plane import KEY, ROUNDS, SEED, served
from benchmarks.row import Row
from benchmarks.world import ACCOUNT
from iam_guard import Principal, client, open_guard

CALLS = 200
"""Calls of one round."""


def measure() -> Iterator[Row]:
    """Yield the row."""
    with tempfile.TemporaryDirectory() as folder:
        seed, url = Path(folder, "seed.yaml"), f"sqlite:///{folder}/iam.db"
        seed.write_text(SEED, encoding="utf-8")
        with served("--store", url, "--seed", str(seed)) as server, closing(open_guard(url)) as guard:
            keys = dict(zip(("aws_access_key_id", "aws_secret_access_key"), KEY, strict=True))
            over_http = boto3.client("iam", region_name="us-east-1", endpoint_url=f"http://{server.host}", **keys)
            in_process = client(guard, "iam", Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ada"))
            rounds = [[_seconds_to_get(asked) for asked in (in_process, over_http)] for _ in range(ROUNDS)]
    ours, ratio = median(ours for ours, _ in rounds), median(ours / theirs for ours, theirs in rounds)
    yield Row("GetUser by a client in the process", ours * 1e6, "us", ratio, "boto3 over HTTP")


def _seconds_to_get(asked: Any) -> float:
    begun = time.perf_counter()
    for _ in range(CALLS):
        asked.get_user(UserName="ada")
    return (time.perf_counter() - begun) / CALLS
