"""Lists that show only what the caller may see: policies become a condition of the application's own query."""

from iam_guard.filters.database_catalogue import Mismatch as Mismatch
from iam_guard.filters.verification import verify as verify
