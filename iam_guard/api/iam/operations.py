"""The operation table of IAM: handler, target and condition keys per operation.

The action is `iam:` and the operation's name; the shapes are the model's. The 180 rows are split by subject. Rules
K-33, R-15.
"""

from __future__ import annotations

from iam_guard.api.iam.table import account_rows, credential_rows, federation_rows, identity_rows, policy_rows
from iam_guard.api.operation import Service

IAM = Service(
    "iam",
    {**identity_rows.ROWS, **policy_rows.ROWS, **credential_rows.ROWS, **federation_rows.ROWS, **account_rows.ROWS},
)
