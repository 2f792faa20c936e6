"""The page of the settings, from their fields and docstrings."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from itertools import pairwise
from typing import Any

from page import page, table

from iam_guard import settings

SETTING_GROUPS: Mapping[str, str] = {
    "Region and partition": "partition region regions",
    "Signatures": "clock_skew api_clock_skew replay_memory",
    "Bodies and headers": "max_body max_stream max_bodies body_timeout max_header",
    "Proxies and client certificates": "trusted_proxies public_hosts client_certificates",
    "Store and caches": (
        "store_timeout store_pool_size store_pool_overflow epoch_poll max_staleness cache_size "
        "postgresql_schema store_schema quotas"
    ),
    "The application as a caller": "application_policy",
    "Secrets at rest": "sealing_keys sealing_key_file",
    "Passwords": "password_memory password_passes password_hashes",
    "Audit trail": "audit audit_wait audit_durable_wait audit_fail_open audit_queue_size audit_flush_seconds",
    "Audit trail: signatures and retention": "audit_key_file audit_verifier_keys audit_retention_days "
    "audit_retention_grace_days",
    "Audit trail: content of records": "audit_condition_keys audit_sample_reads audit_drop audit_mask audit_pseudonyms "
    "audit_pseudonym_key_file",
    "Audit trail: sinks": "audit_sinks audit_webhook_secrets",
    "Shadow mode": "shadow_actions",
    "SAML assertions": "saml_recipients saml_clock_skew",
    "Tokens of OIDC providers": "oidc_roles oidc_role_header oidc_audiences oidc_algorithms oidc_leeway oidc_addresses "
    "oidc_ca_file oidc_timeout oidc_refresh oidc_cooldown oidc_max_staleness",
    "Identity tokens for other services": "issuer_url",
    "Browser sessions": "session_duration session_idle sign_in_url sign_in_links site_url trusted_origins",
    "E-mails": "smtp_url mail_from",
}
"""The sections of the page, with the settings of each."""


def settings_page() -> str:
    words = field_docstrings(inspect.getsource(settings), "Settings")
    items = {item.name: item for item in fields(settings.Settings)}
    sections = [
        f"## {title}\n\n" + table(_SETTINGS_HEAD, [_setting_row(items[name], words[name]) for name in names.split()])
        for title, names in SETTING_GROUPS.items()
    ]
    others = [(f"`{name}`", meaning) for name, meaning in settings.OTHER_VARIABLES.items()]
    sections.append("## Other variables\n\n" + table(("Variable", "Meaning"), others))
    return page(
        "iam_guard/settings.py",
        "Settings",
        "Set an option as an argument of `open_guard(…)` or as an environment variable. The argument takes precedence "
        "over the variable, and the variable over the default. In a variable, separate the members of a list with "
        "commas. An invalid value raises `ConfigurationError`, and so does an unknown argument or a variable that "
        "begins with `IAM_GUARD_` and is not listed here.",
        "\n".join(sections),
    )


_IN_KIB = {"password_memory"}
"""The settings that are numbers of KiB; other sizes are in bytes."""
_SETTINGS_HEAD = ("Argument and variable", "Type and default", "Meaning")


def _setting_row(item: Field[Any], meaning: str) -> Sequence[str]:
    names = f"`{item.name}`<br>`{settings.PREFIX}{item.name.upper()}`"
    return names, f"{_kind(item)}<br>{_default(item)}", meaning


def field_docstrings(source: str, class_name: str) -> Mapping[str, str]:
    """Read the string that follows each field of a class."""
    body = next(
        node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == class_name
    )
    return {
        field.target.id: " ".join(words.value.value.split())
        for field, words in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(words, ast.Expr)
        and isinstance(words.value, ast.Constant)
        and isinstance(words.value.value, str)
    }


def _kind(item: Field[Any]) -> str:
    names = {"str": "string", "int": "integer", "float": "number"}
    return names.get(str(item.type), "list of strings")


def _default(item: Field[Any]) -> str:
    match item.default:
        case "" | ():
            return "empty"
        case tuple(members):
            return f"`{','.join(members)}`"
        case int(number) if number >= 1024 and number % 1024 == 0:
            return f"`{number}` ({_binary(number * 1024 if item.name in _IN_KIB else number)})"
        case float(number):
            return f"`{number:g}`"
        case value:
            return f"`{value}`"


def _binary(number: int) -> str:
    """Return a number of bytes with its unit."""
    power = next(power for power in (3, 2, 1) if number % 1024**power == 0)
    return f"{number // 1024**power} {('KiB', 'MiB', 'GiB')[power - 1]}"
