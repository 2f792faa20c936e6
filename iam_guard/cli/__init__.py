"""The command `iam-guard`."""

from iam_guard.cli.group import main as main
