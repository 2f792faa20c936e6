"""Two accounts with users who may do everything, a resource of the first, and helpers for tests of shares."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Integer, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from iam_guard import Guard, Principal, Service
from iam_guard.store.schema import identities, resources
from iam_guard.store.seed import apply_seed, load_seed_text

ACME, GLOBEX, OTHER = "111122223333", "444455556666", "999999999999"
BOB, EVE = f"arn:aws:iam::{ACME}:user/bob", f"arn:aws:iam::{GLOBEX}:user/eve"
MAX, AUDITOR = f"arn:aws:iam::{GLOBEX}:user/staff/max", f"arn:aws:iam::{GLOBEX}:role/Auditor"
SESSION = f"arn:aws:sts::{GLOBEX}:assumed-role/Auditor/jane"
PLAN = f"arn:aws:docs:us-east-1:{ACME}:document/1"
ALL = '{Version: "2012-10-17", Statement: [{Effect: Allow, Action: "docs:*", Resource: "*"}]}'
TRUSTED = f'{{Effect: Allow, Principal: {{AWS: "{GLOBEX}"}}, Action: "sts:AssumeRole"}}'
TRUST = f'{{Version: "2012-10-17", Statement: [{TRUSTED}]}}'
SEED = f"""
version: 1
accounts:
  - {{id: "{ACME}", name: acme, users: [{{name: bob}}]}}
  - id: "{GLOBEX}"
    name: globex
    users:
      - {{name: eve, inline: {{All: {ALL}}}}}
      - {{name: max, path: /staff/, inline: {{All: {ALL}}}}}
    roles: [{{name: Auditor, trust: {TRUST}, inline: {{All: {ALL}}}}}]
"""
ACTIONS = ("docs:GetDocument", "docs:PutDocument", "docs:ListDocuments", "docs:PurgeDocument")
BY_HAND = f"""{{
    "Version": "2012-10-17",
    "Statement": [
        {{"Sid":   "Own", "Effect": "Allow", "Principal": {{"AWS": "{BOB}"}}, "Action": "docs:List*", "Resource": "*"}},
        {{"Sid": "NoPurge", "Effect": "Deny", "Principal": "*", "Action": "docs:Purge*", "Resource": "*"}}
    ]
}}
"""
ONE_STATEMENT = f'{{"Statement": {{"Effect": "Allow", "Principal": {{"AWS": "{BOB}"}}, "Action": "docs:List*"}}}}'
COMPACT = json.dumps(json.loads(BY_HAND), separators=(",", ":"))


class Base(DeclarativeBase):
    pass


class Document(Base):
    __tablename__ = "documents"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    account: Mapped[str] = mapped_column(String(12))


def declared() -> Service:
    docs = Service("docs")
    docs.resource_type("document", "document/{id}", model=Document, account=Document.account)
    for action in ACTIONS:
        docs.catalogue.declare_action(action.partition(":")[2])
    return docs


def seeded(guard: Guard, text: str = SEED) -> None:
    """Apply a seed to the store of a guard."""
    behind: Any = guard.store
    apply_seed(behind.behind, load_seed_text(text))
    guard.refresh()


def reset(guard: Guard, policy: str | None = None) -> None:
    with guard.store.write_transaction() as records:
        records.delete(resources)
        records.delete(identities)
    seeded(guard)
    if policy is not None:
        guard.resource_policies.put(PLAN, policy)


def may(guard: Guard, arn: str, action: str = ACTIONS[0]) -> bool:
    return guard.decide(Principal.from_arn(arn), action, PLAN).allowed


def sids(guard: Guard) -> list[str | None]:
    return [share.sid for share in guard.sharing.shares_of(PLAN)]
