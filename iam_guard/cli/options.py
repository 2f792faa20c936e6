"""Options and output of several commands."""

from __future__ import annotations

from typing import Any, Final

import click


class _AccountId(click.types.StringParamType):
    """The id of an account; a copied one may have spaces around it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value).strip()


ACCOUNT_ID: Final = _AccountId()
"""The type of options that name an account."""
ACCOUNT = click.argument("account", type=ACCOUNT_ID)
STORE = click.option(
    "--store",
    envvar="IAM_GUARD_STORE",
    default="sqlite:///iam-guard.db",
    show_default=True,
    help="Use the store at this database URL; IAM_GUARD_STORE sets it, too.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON instead of text.")


def coloured(text: str) -> str:
    """Colour the marks; click removes colours if the output is no terminal."""
    return text.replace("✓", click.style("✓", fg="green")).replace("✗", click.style("✗", fg="red"))
