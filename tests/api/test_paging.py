"""Pages end at their maximum of rows, or of characters in documents."""

from __future__ import annotations

import json

from iam_guard.api.paging import CHUNK_ROWS, MAX_CHARACTERS
from iam_guard.store.schema import identities
from tests.api.conftest import Client, Running

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def test_white_space_ends_pages_early(iam: Client, server: Running) -> None:
    """Documents at the raw limit; together the pages are complete (G-74)."""
    padded = json.dumps(TRUST) + " " * 130_000
    names = [f"role-{number:03}" for number in range(2 * CHUNK_ROWS + 20)]
    iam.create_role(RoleName=names[0], AssumeRolePolicyDocument=padded)
    with server.store.write_transaction() as records:
        row = records.one(identities, folded=names[0])
        assert row is not None
        for name in names[1:]:
            records.insert(identities, **{**row, "id": f"AROA{name.upper()}", "name": name, "folded": name})
    assert CHUNK_ROWS * len(padded) > MAX_CHARACTERS
    for operation, member in (("list_roles", "Roles"), ("get_account_authorization_details", "RoleDetailList")):
        pages = list(iam.get_paginator(operation).paginate(PaginationConfig={"PageSize": 1000}))
        assert max(len(page[member]) for page in pages) < CHUNK_ROWS
        assert [role["RoleName"] for page in pages for role in page[member]] == names
