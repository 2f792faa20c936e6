"""Write the pages of the reference and the stubs for type checkers that are generated from the code.

`python docs/generate.py` writes them, `--check` only compares and fails when one is out of date. One function per page;
`PAGES` is the list.
"""

from __future__ import annotations

import inspect
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from iam_guard import errors
from iam_guard.analysis.lint.fix_candidates import PROPOSALS
from iam_guard.analysis.lint.lint_codes import (
    HINTS,
    NEED_REFERENCE,
    NOT_REPORTED,
    OWN_LEVELS,
    SEVERITIES,
    level_of_code,
)
from iam_guard.analysis.lint.report import WORDS
from iam_guard.analysis.reference.json_form import reference_json
from iam_guard.analysis.reference.pages import markdown
from iam_guard.evaluation.matching.condition_keys import KEYS
from iam_guard.evaluation.matching.operators import OPERATORS
from iam_guard.policy.finding_codes import Level

sys.path.insert(0, str(Path(__file__).resolve().parent))  # run as a script, and loaded by the tests
from api_support import api_support_page
from client_types import client_pages
from commands import command_line_page
from operations import operation_rows
from page import page, table
from policy_types import policy_types_page
from python_reference import python_pages
from root_tasks import ROOT_TASKS
from service_features import service_features_page
from service_references import OWN_REFERENCES
from settings_reference import settings_page

DOCS = Path(__file__).resolve().parent


# --- errors ------------------------------------------------------------------------------------------------------


ERROR_SECTIONS = {
    "MissingAuthenticationToken": "Credentials",
    "AccessDenied": "Requests and policies",
    "NoSuchEntity": "Stored entities",
    "ConfigurationError": "Configuration and server",
}
"""The first error of each section, in the order of their file."""


def errors_page() -> str:
    rows: dict[str, list[Sequence[str]]] = {}
    title = ""
    for error in error_family():
        title = ERROR_SECTIONS.get(error.__name__, title)
        codes = f"`{error.code}`", str(error.status), str(error.wire_status), error.fault
        rows.setdefault(title, []).append((f"`{error.__name__}`", *codes, _first(error)))
    introduction = (
        "All errors are subclasses of `iam_guard.errors.IamGuardError`. Errors about credentials are also subclasses "
        "of `CredentialError`. Each class has these attributes:\n\n"
        "- `code`: AWS's error code\n"
        "- `status`: the HTTP status of a guarded application, which responds in the [problem format](refusals.md)\n"
        "- `wire_status`: the HTTP status of the AWS-compatible API\n"
        "- `fault`: `sender` if the client can fix it, `receiver` if the server can"
    )
    sections = [f"## {title}\n\n" + table(_ERRORS_HEAD, part) for title, part in rows.items()]
    return page("iam_guard/errors.py", "Errors", introduction, "\n".join(sections))


_ERRORS_HEAD = ("Error", "`code`", "`status`", "`wire_status`", "`fault`", "Meaning")


def error_family() -> Sequence[type[errors.IamGuardError]]:
    """Return the errors in the order of their file, without the base classes."""
    classes = [var for name, var in vars(errors).items() if inspect.isclass(var) and not name.startswith("_")]
    caught_only = (errors.IamGuardError, errors.CredentialError)
    return [class_ for class_ in classes if issubclass(class_, errors.IamGuardError) and class_ not in caught_only]


def _first(thing: type) -> str:
    return (inspect.cleandoc(thing.__doc__ or "").split("\n\n")[0]).replace("\n", " ")


# --- condition operators and context keys ------------------------------------------------------------------------


def operators_page() -> str:
    rows = [
        (f"`{row.name}`", _tick(row.negated), _tick(row.wildcards), _tick(row.variables)) for row in OPERATORS.values()
    ]
    return page(
        "iam_guard/evaluation/matching/operators.py",
        "Condition operators",
        "A condition operator compares the value of a [context key](context-keys.md) with the values in the policy. "
        "If the policy lists several values, one match is enough; with a *negated* operator, none may match. "
        "*Wildcards* and *variables* show what the values in the policy may contain.",
        table(("Operator", "Negated", "Wildcards `*` `?`", "Variables `${…}`"), rows)
        + "\n## Null\n\n`Null` tests whether the request has the key: `true` requires that the key is absent, `false` "
        "that it is present.\n\n"
        "## Prefixes and suffix\n\n"
        "- **`…IfExists`**: the condition is also met if the key is absent. Every operator except `Null` supports it.\n"
        "- **`ForAnyValue:…`**, for keys with several values: at least one value of the request must meet the "
        "condition.\n"
        "- **`ForAllValues:…`**, for keys with several values: every value of the request must meet the condition. An "
        "absent key meets it.\n",
    )


def keys_page() -> str:
    sections = [
        f"## {title}\n\n"
        + table(
            ("Key", "Type", "Values", "Present"),
            [
                (f"`{row.name}`", row.kind, "several" if row.multivalued else "one", row.present)
                for row in KEYS
                if row.supplier == supplier
            ],
        )
        for supplier, title in KEY_SECTIONS.items()
    ]
    return page(
        "iam_guard/evaluation/matching/condition_keys.py",
        "Context keys",
        "The condition keys that AWS and iam_guard define. Names are case-insensitive. Add a name to a key that ends "
        "in `/`: `aws:PrincipalTag/team`. `<provider>` is the host of an identity provider. Your application can "
        "declare its own keys.\n\nThe guard sets all values, so callers can't choose them. The exceptions are "
        "`aws:referer` and `aws:UserAgent`: they repeat a header, so don't use them to grant access.",
        "\n".join(sections),
    )


KEY_SECTIONS = {
    "principal": "Principal",
    "session": "Session",
    "network": "Network",
    "resource": "Resource",
    "request": "Request",
    "sts": "STS",
    "iam": "IAM",
    "sign-in": "Sign-In",
    "iam_guard": "iam_guard",
    "identity provider": "Identity provider",
}
"""The `supplier` of a key -> the title of its section."""


def _tick(yes: bool) -> str:
    return "yes" if yes else ""


# --- the IAM API -------------------------------------------------------------------------------------------------


def iam_api_page() -> str:
    """Return the page of the API's operations with the resource and keys of each."""
    rows = operation_rows()
    introduction = (
        f"The {len(rows)} supported operations of the IAM API, with AWS's protocol. [Supported "
        "operations](api-support.md) lists the others. To use the API, see "
        "[Manage identities with AWS's tools](../how-to/manage-identities-with-aws-tools.md).\n\n"
        "An operation requires the permission of its name: `iam:CreateUser` for `CreateUser`.\n\n"
        "- **Resource** is the last part of the ARN that the permission is checked for. `{UserName}` is a parameter of "
        "the call, or the entity that it names, including its path.\n"
        "- **Condition keys** are the keys that the operation sets in addition to the [context keys](context-keys.md) "
        "of every request and the tags of the resource (`aws:ResourceTag/…`, `iam:ResourceTag/…`).\n"
        "- **Further permissions** are required, too: always, or if the call uses the parameter that they name."
    )
    body = table(("Operation", "Resource", "Condition keys", "Further permissions"), rows)
    return page("iam_guard/api/iam/table", "IAM API operations", introduction, body)


# --- codes of the linter -----------------------------------------------------------------------------------------


def lint_codes_page() -> str:
    """Return the page of all codes of the linter, the most severe first, and of AWS's codes that it does not report."""
    introduction = (
        "The findings of [`iam-guard lint`](../how-to/lint-policies.md), the most severe first. Codes and levels are "
        "those of IAM Access Analyzer's policy validation. *iam_guard only* marks codes that Access Analyzer does not "
        "have; *needs a reference* marks findings that require the "
        "[service authorization reference](../how-to/service-reference.md) of the service; *fix* marks codes with a "
        "[fix](../how-to/lint-policies.md#fix-findings) if one can be verified."
    )
    sections = [
        f"## {WORDS[level].capitalize()}s\n\n" + table(("Code", "What to do", "Note"), _lint_rows(level))
        for level in reversed(SEVERITIES)
    ]
    rows = [(_anchored(code), reason) for code, reason in sorted(NOT_REPORTED.items())]
    sections.append(
        "## Not reported\n\nCodes of Access Analyzer that have no meaning here.\n\n" + table(("Code", "Why"), rows)
    )
    return page("iam_guard/analysis/lint/lint_codes.py", "Lint codes", introduction, "\n".join(sections))


def _lint_rows(level: Level) -> list[tuple[str, str, str]]:
    rows = []
    for code, hint in sorted(HINTS.items()):
        notes = (
            "iam_guard only" if code in OWN_LEVELS else "",
            "needs a reference" if code in NEED_REFERENCE else "",
            "fix" if code in PROPOSALS else "",
        )
        if level_of_code(code) == level:
            rows.append((_anchored(code), hint, ", ".join(filter(None, notes))))
    return rows


def _anchored(code: str) -> str:
    """Return a code with the anchor that findings link to."""
    return f'<a id="{code.lower()}"></a>`{code}`'


# --- service authorization references ----------------------------------------------------------------------------


def service_references_page() -> str:
    """Return the references of our own services, in the format of `iam-guard reference`."""
    introduction = (
        "The actions, resource types and condition keys that you can use in policies for IAM, STS, IAM "
        "Access Analyzer and AWS Sign-In. [`iam-guard reference`](../how-to/service-reference.md) generates such a "
        "page for your own services."
    )
    return page(
        "iam_guard/api/iam/table and docs/service_references.py",
        "Service authorization reference",
        introduction,
        "\n".join(markdown([reference()], level=2) for reference in OWN_REFERENCES.values()),
    )


def _reference_json(name: str) -> str:
    return reference_json([OWN_REFERENCES[name]()])


# --- the root user -----------------------------------------------------------------------------------------------


def root_user_page() -> str:
    """Return the page of the tasks that only the root user can do."""
    introduction = (
        "Each account has one root user. Use it only for the tasks below.\n\n"
        "- The root user has full access to its account without any policy. It can't have policies, groups or a "
        "permissions boundary.\n"
        "- Service control policies (except in the management account), resource control policies and a Deny in a "
        "resource-based policy limit it.\n"
        "- It can have up to two access keys and up to eight MFA devices."
    )
    rows = [(row.task, row.here or "only in AWS") for row in ROOT_TASKS]
    return page("docs/root_tasks.py", "Root user tasks", introduction, table(("Task", "How to do it"), rows))


# --- the layers --------------------------------------------------------------------------------------------------


def layers_picture() -> str:
    """Draw the layers of the import contract, top to bottom."""
    layers = [layer.strip("()").split(" | ") for layer in import_layers() if layer != "(__main__)"]
    width, step, height = 400, 48, 32
    drawn: list[str] = []
    for number, packages in enumerate(layers):
        box = (width - 20 * (len(packages) + 1)) // len(packages)
        for place, package in enumerate(packages):
            left, top = 20 + place * (box + 20), 16 + number * step
            drawn += [
                f'<rect x="{left}" y="{top}" width="{box}" height="{height}" rx="6"/>',
                f'<text x="{left + box // 2}" y="{top + 21}">{package}</text>',
            ]
        if number:
            drawn.append(f'<path d="M{width // 2} {16 + number * step - 14}v11m-4 -5l4 5l4 -5"/>')
    style = (
        "rect{fill:#eef1fb;stroke:#4051b5}text{font:15px monospace;text-anchor:middle;fill:#1c2350}"
        "path{fill:none;stroke:#4051b5;stroke-width:1.5}"
        "@media(prefers-color-scheme:dark){rect{fill:#262c45;stroke:#8c9eff}text{fill:#e6e8f2}path{stroke:#8c9eff}}"
    )
    total = 16 + len(layers) * step
    size = f'width="{width}" height="{total}" viewBox="0 0 {width} {total}"'
    title = "The layers of iam_guard; a package imports only from the layers below its own"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{title}">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n" + "\n".join(drawn) + "\n</svg>\n"
    )


def import_layers() -> Sequence[str]:
    """Return the layers from the contract of import-linter."""
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers: Sequence[str] = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return layers


# --- writing -----------------------------------------------------------------------------------------------------

PAGES: Mapping[str, Callable[[], str]] = {
    "reference/command-line.md": command_line_page,
    "reference/settings.md": settings_page,
    "reference/errors.md": errors_page,
    "reference/condition-operators.md": operators_page,
    "reference/context-keys.md": keys_page,
    "reference/policy-types.md": policy_types_page,
    "reference/api-support.md": api_support_page,
    "reference/iam-api.md": iam_api_page,
    "reference/service-authorization.md": service_references_page,
    "reference/service-features.md": service_features_page,
    "reference/lint-codes.md": lint_codes_page,
    **{f"../iam_guard/analysis/reference/{name}.json": partial(_reference_json, name) for name in OWN_REFERENCES},
    **client_pages(),
    **python_pages(),
    "reference/root-user.md": root_user_page,
    "explanation/layers.svg": layers_picture,
}


def outdated(folder: Path = DOCS) -> list[str]:
    """List the pages whose text is not what the code says now."""
    return [name for name, make in PAGES.items() if not _says(folder / name, make())]


def _says(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def write(folder: Path = DOCS) -> None:
    for name, make in PAGES.items():
        (folder / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    if "--check" not in sys.argv[1:]:
        write()
    elif stale := outdated():
        sys.exit(f"out of date, run `make docs`: {', '.join(stale)}")
