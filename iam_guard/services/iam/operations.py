"""THE table of IAM: what each operation is done to, which condition keys it supplies, who carries it out.

The action is `iam:` and the operation's name; the shapes are those of the model. Assembled from one part for each
theme, since there are 180 of them. Rules K-33, R-15. Must not live here: how a row is run (`services/operation`).
"""

from __future__ import annotations

from iam_guard.services.iam.table import identity_rows
from iam_guard.services.operation import Service

IAM = Service("iam", {**identity_rows.ROWS})
