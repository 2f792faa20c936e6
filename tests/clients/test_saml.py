"""The `aws` command exchanges a SAML assertion for credentials, and uses them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.api.clock import CLOCK
from tests.api.conftest import ACCOUNT
from tests.api.sts.saml_world import ARN, provider_arn, saml_world
from tests.clients.programs import REFUSED, installed, run


def aws(url: str, variables: Mapping[str, str], *arguments: str) -> tuple[int, Any, str]:
    """Return the exit code, the answer and the errors of a command."""
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "AWS_DEFAULT_REGION": "us-east-1", **variables}
    files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_MAX_ATTEMPTS": "1"}
    command = [installed("aws"), "--endpoint-url", url, "--output", "json", *arguments]
    done = run(command, {**environment, **files, "AWS_EC2_METADATA_DISABLED": "true"})
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def test_command_exchanges_an_assertion_once(tmp_path: Path) -> None:
    """Without credentials of its own."""
    installed("aws")
    with saml_world() as world:
        CLOCK.resume()
        (tmp_path / "response.txt").write_text(world.response())
        call = (
            *("sts", "assume-role-with-saml", "--role-arn", ARN, "--principal-arn", provider_arn()),
            *("--saml-assertion", f"file://{tmp_path / 'response.txt'}", "--duration-seconds", "900"),
        )
        code, made, errors = aws(world.server.url, {}, *call)
        assert (code, errors) == (0, "")
        keys = made["Credentials"]
        variables = {
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
        }
        _, caller, _ = aws(world.server.url, variables, "sts", "get-caller-identity")
        assert caller["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/ada"
        code, _, errors = aws(world.server.url, {}, *call)
        assert (code, "(InvalidIdentityToken)" in errors) == (REFUSED, True)
