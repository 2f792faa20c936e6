"""`iam-guard audit keys`."""

from __future__ import annotations

import click

from iam_guard.audit.verify.signing_keys import audit_key_file, key_ring, rotate_signing_key
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.errors import ConfigurationError
from iam_guard.settings import load_settings
from iam_guard.store.location import store_file


@click.command()
@click.option("--rotate", is_flag=True, help="Add a new signing key; it signs from the next start of the service.")
@STORE
@answering
def command(rotate: bool, store: str) -> Answer:
    """Print the public keys that verify checkpoints, the signing key first."""
    settings = load_settings()
    path = audit_key_file(settings, store_file(store))
    if rotate:
        if path is None:
            raise ConfigurationError("expected a key file, set `IAM_GUARD_AUDIT_KEY_FILE`", place="audit_key_file")
        rotate_signing_key(path)
    lines = [str(key) for key in key_ring(settings, path).keys]
    return Answer({"keys": lines}, "\n".join(lines))
