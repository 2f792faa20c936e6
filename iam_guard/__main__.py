"""`python -m iam_guard` is the command `iam-guard`."""

from iam_guard.cli import main

main()
