"""What the commands that share resources have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module

import click

from iam_guard.administration.sharing import ResourceSharing
from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.cli.kit.commands import ACCOUNT_ID, Answer
from iam_guard.cli.kit.reference_options import catalogues_of_app
from iam_guard.policy.share_statements import Share
from iam_guard.store.policies.resource_policies import ResourcePolicies

WITH_ACCOUNT = click.option("--with-account", type=ACCOUNT_ID, metavar="ID", help="Name the account.")
WITH_PRINCIPAL = click.option("--with-principal", metavar="ARN", help="Name the user, role or session.")


@contextmanager
def opened_shares(store: str, app: str | None = None) -> Iterator[ResourceSharing]:
    """Yield the shares of a store's resources; `app` declares the actions that can be shared."""
    with recorded_store(store) as (opened, change_recorder):
        analysis = import_module("iam_guard.factory").share_analysis
        policies = ResourcePolicies(opened, change_recorder)
        yield ResourceSharing(policies, catalogues_of_app(app), analysis=analysis)


def listed_shares(shares: Sequence[Share]) -> Answer:
    return Answer([share_row(share) for share in shares], map(share_line, shares))


def share_row(share: Share) -> dict[str, object]:
    return asdict(share) | {"actions": list(share.actions)}


def share_line(share: Share) -> str:
    kind = "" if share.kind == "AWS" else f"{share.kind} "
    marks = ["under conditions"] * share.has_condition + ["written by hand"] * share.is_written_by_hand
    return f"{kind}{share.grantee}  {' '.join(share.actions)}" + (f"  ({', '.join(marks)})" if marks else "")
