"""Write the reference pages that are generated from the tables of the code.

`python docs/generate.py` writes them, `--check` only compares and fails when one is out of date. One function per page;
`PAGES` is the list.
"""

from __future__ import annotations

import ast
import inspect
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import Field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from iam_guard import errors, settings
from iam_guard.analysis.lint.lint_codes import HINTS, NEED_REFERENCE, OWN_LEVELS, SEVERITIES, level_of_code
from iam_guard.analysis.lint.report import WORDS
from iam_guard.analysis.reference.json_form import reference_json
from iam_guard.analysis.reference.pages import markdown
from iam_guard.api.iam.root_tasks import ROOT_TASKS
from iam_guard.evaluation.applicable_types import identity_exemption, rcp_exemption, scp_exemption
from iam_guard.evaluation.authorizer import compile_policies
from iam_guard.evaluation.matching.condition_keys import KEYS
from iam_guard.evaluation.matching.operators import OPERATORS
from iam_guard.model.decision import Decision, PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.grammar import USES, WITH_PRINCIPAL
from iam_guard.policy.quota import INLINE, RAW_LIMIT, SizeQuota, size_quota

sys.path.insert(0, str(Path(__file__).resolve().parent))  # run as a script, and loaded by the tests
from operations import operation_rows, refused_rows
from service_references import iam_reference, sts_reference

DOCS = Path(__file__).resolve().parent
NOTE = "<!-- Made by docs/generate.py from {source}; `make docs` makes it anew. -->\n\n"


# --- settings ----------------------------------------------------------------------------------------------------


def settings_page() -> str:
    words = field_docstrings(inspect.getsource(settings), "Settings")
    rows = [
        (
            f"`{field.name}`",
            f"`{settings.PREFIX}{field.name.upper()}`",
            _kind(field),
            _default(field),
            words[field.name],
        )
        for field in fields(settings.Settings)
    ]
    return _page(
        "iam_guard/settings.py",
        "Settings",
        "An argument of `open_guard(…)` overrides the environment variable, which overrides the default. In a "
        "variable, separate the members of a list with commas. An unknown name or an invalid value is an error.",
        table(("Argument", "Variable", "Type", "Default", "Meaning"), rows),
    )


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
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "`true` or `false`"}
    return names.get(str(item.type), "list of texts")


def _default(item: Field[Any]) -> str:
    return f"`{item.default}`" if item.default not in ("", ()) else "empty"


# --- errors ------------------------------------------------------------------------------------------------------


def errors_page() -> str:
    rows = [
        (
            f"`{error.__name__}`",
            f"`{error.code}`",
            str(error.status),
            str(error.wire_status),
            error.fault,
            _first(error),
        )
        for error in error_family()
    ]
    return _page(
        "iam_guard/errors.py",
        "Errors",
        "Every error of the package is an `iam_guard.errors.IamGuardError`; those about credentials are also a "
        "`CredentialError`. *Code* is AWS's error code; "
        "*application* is the HTTP status of a guarded application (an `application/problem+json`), *AWS API* the "
        "status of the AWS-compatible API; *fault* says who can fix it: the client (sender) or the server (receiver).",
        table(("Error", "Code", "Application", "AWS API", "Fault", "Meaning"), rows),
    )


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
    return _page(
        "iam_guard/evaluation/matching/operators.py",
        "Condition operators",
        "In addition, `Null` tests whether a key is present. Every other operator may end in `IfExists` (an "
        "absent key meets the condition), and each may begin with `ForAnyValue:` or `ForAllValues:`. Several values "
        "for one key are alternatives; with a negated operator none of them may match.",
        table(("Operator", "Negated", "Wildcards `*` `?`", "Variables `${…}`"), rows),
    )


def keys_page() -> str:
    rows = [
        (f"`{row.name}`", row.kind, "several" if row.multivalued else "one", row.supplier, row.present) for row in KEYS
    ]
    return _page(
        "iam_guard/evaluation/matching/condition_keys.py",
        "Context keys",
        "The keys that AWS defines. A name that ends in `/` is a family, completed by a tag key, for example; "
        "`<provider>` is the host of an identity provider. Names are case-insensitive. "
        "An application can declare its own keys. The guard sets the values, never the caller, except "
        "for `aws:referer` and `aws:UserAgent`, which repeat a header and must not be trusted.",
        table(("Key", "Type", "Values", "About", "Present"), rows),
    )


def _tick(yes: bool) -> str:
    return "yes" if yes else ""


# --- policy types ------------------------------------------------------------------------------------------------

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
THING = f"arn:aws:docs:us-east-1:{ACCOUNT}:thing"
USER = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ada")
SESSION_ARN = f"arn:aws:sts::{ACCOUNT}:assumed-role/ops/ada"
LINKED_ROLE = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/docs.amazonaws.com/ops"
CALLERS: Mapping[str, Principal] = {
    "IAM user": USER,
    "Role session": Principal.from_arn(SESSION_ARN),
    "Session of a service-linked role": Principal.from_arn(SESSION_ARN, role_arn=LINKED_ROLE),
    "Federated user": Principal.from_arn(f"arn:aws:sts::{ACCOUNT}:federated-user/ada"),
    "Root user": Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:root"),
    "Service principal": Principal.service("events.amazonaws.com"),
    "Caller of an identity provider": Principal.federated(
        f"arn:aws:iam::{ACCOUNT}:oidc-provider/id.example.com", userid="ada", keys={}
    ),
    "Anonymous caller": Principal.anonymous(),
}
READING, ASSUMING = ("docs:Get", THING), ("sts:AssumeRole", LINKED_ROLE)
NOT_REACHED = (("kms:RetireGrant", f"arn:aws:kms:us-east-1:{ACCOUNT}:key/k"), ASSUMING, ("ec2:RunInstances", "*"))
"""Requests to which resource control policies do not apply, for any caller."""
ARGUMENTS: Mapping[PolicyType, tuple[str, int]] = {
    PolicyType.IDENTITY: ("identity", 1),
    PolicyType.RESOURCE: ("resource", 0),
    PolicyType.BOUNDARY: ("permissions_boundary", 0),
    PolicyType.SESSION: ("session", 1),
    PolicyType.SCP: ("scps", 2),
    PolicyType.RCP: ("rcps", 2),
    PolicyType.VPC_ENDPOINT: ("vpc_endpoint", 0),
    PolicyType.TRUST: ("resource", 0),
}
"""The parameter of `compile_policies` for the type, and the number of nested lists."""


def policy_types_page() -> str:
    sections = {
        "The types": "A type that grants is sufficient for access within one account. Any other type only limits: if "
        "there is one, it must allow as well. A matching Deny of any type decides. *Size* is in characters "
        f"without white space; in addition, a written document may have at most {RAW_LIMIT:,} with it.\n\n"
        + table(("Type", "Grants", "Size"), [(f"{type}", _tick(_grants(type)), _sizes(type)) for type in PolicyType]),
        "Elements": "*one of the two*: the element or its counterpart, such as `NotAction` for `Action`, never "
        "both. The rule determines whether a document is rejected when it is parsed, when it is written, or only by "
        "`check`.\n\n"
        + table(("Element", *PolicyType), [(f"`{name}`", *uses.values()) for name, uses in USES.items()]),
        "Callers": "The policies that apply to a caller, if there are any. *required*: without one the caller is "
        "denied; without a role trust policy it can't assume the role.\n\n"
        + table(("Caller", *PolicyType), [(who, *_weights(caller)) for who, caller in CALLERS.items()])
        + "\nReasons why a type does not apply, and further exceptions for resource control policies:\n\n"
        + "".join(f"- {reason}\n" for reason in _reasons_not_to_apply()),
        "Order of reporting": "If several types deny, the message names the first; an explicit deny comes before any "
        "missing Allow. A role trust policy ranks like the resource-based policy.\n\n"
        + table(("", "Explicit deny", "No Allow"), _orders()),
    }
    return _page(
        "iam_guard/policy and iam_guard/evaluation",
        "Policy types",
        "The types of policies, with AWS's names.",
        "\n".join(f"## {title}\n\n{body}" for title, body in sections.items()),
    )


def _grants(type: PolicyType) -> bool:
    """Return whether a policy of the type grants access alone, according to the evaluator."""
    action, resource = ASSUMING if type is PolicyType.TRUST else READING
    return _decided([type], "Allow", "*", AccessRequest(USER, action, resource)).allowed


def _decided(types: Iterable[PolicyType], effect: str, action: str, request: AccessRequest) -> Decision:
    """Decide with one policy of each type, about an action of every resource."""
    policies: dict[str, Any] = {}
    for type in types:
        name, lists = ARGUMENTS[type]
        policies[name] = {"Statement": {"Effect": effect, "Action": action, "Resource": "*"}}
        if type in WITH_PRINCIPAL:
            policies[name]["Statement"]["Principal"] = "*"
        for _ in range(lists):
            policies[name] = [policies[name]]
    return compile_policies(**policies).decide(request)


def _sizes(type: PolicyType) -> str:
    if type is PolicyType.IDENTITY:
        inline = [f"{_size(each)} for all inline ones of a {kind} together" for kind, each in INLINE.items()]
        return "; ".join([f"{_size(size_quota(type, managed=True))} for a managed one", *inline])
    return _size(size_quota(type))


def _size(quota: SizeQuota | None) -> str:
    return "" if quota is None else f"{quota.characters:,}{', white space counts' if quota.counts_space else ''}"


def _exemptions(caller: Principal) -> Mapping[PolicyType, str | None]:
    own = identity_exemption(caller)
    return {
        PolicyType.IDENTITY: own,
        PolicyType.BOUNDARY: own,
        PolicyType.SESSION: own,
        PolicyType.SCP: scp_exemption(caller),
        PolicyType.RCP: rcp_exemption(AccessRequest(caller, *READING), READING[0].lower(), own=True),
    }


def _weights(caller: Principal) -> list[str]:
    """Return `no`, `yes` or `required` for each type; for the last, the evaluator decides without the type."""
    exemptions = _exemptions(caller)
    asked = [AccessRequest(caller, action, resource) for action, resource in (READING, ASSUMING)]
    owed = {
        reason.policy_type
        for decision in (_decided([PolicyType.IDENTITY], "Allow", "*", request) for request in asked)
        for reason in decision.reasons
        if not decision.allowed
    }
    return ["no" if exemptions.get(type) else "required" if type in owed else "yes" for type in PolicyType]


def _reasons_not_to_apply() -> Sequence[str]:
    """Return each reason once: those of a caller, then those of a request."""
    of_callers = [reason for caller in CALLERS.values() for reason in _exemptions(caller).values()]
    requests = [AccessRequest(USER, action, resource) for action, resource in NOT_REACHED]
    of_requests = [rcp_exemption(request, request.action.lower(), own=False) for request in requests]
    return list(dict.fromkeys(reason for reason in (*of_callers, *of_requests) if reason))


def _orders() -> Iterable[tuple[str, str, str]]:
    """Return the order of reporting, for a resource of another account, where the types of both sides must allow."""
    request = AccessRequest(USER, *READING, {}, OTHER_ACCOUNT)
    left: list[PolicyType] = [type for type in PolicyType if type is not PolicyType.TRUST]
    lacking = _decided(left, "Allow", "docs:Put", request).reasons
    for number, reason in enumerate(lacking, 1):
        first = _decided(left, "Deny", "*", request).reasons[0].policy_type
        left.remove(first)
        yield str(number), first, reason.policy_type


# --- the IAM API -------------------------------------------------------------------------------------------------


def iam_api_page() -> str:
    """Return the page of the API's operations with the resource and keys of each."""
    rows = operation_rows()
    introduction = (
        f"The {len(rows) + len(refused_rows())} operations of the current model, with AWS's protocol: see "
        "[Manage identities with AWS's tools](../how-to/manage-identities-with-aws-tools.md). Each needs the "
        "permission `iam:` and its name, on the resource below: the last part of its ARN, with the path of the entity. "
        "`{name}` is a member of the input, or the entity that it names. All set the tags of their resource as "
        "`aws:ResourceTag/…` and `iam:ResourceTag/…` and the "
        "[context keys](context-keys.md) of every request; the third column has their additional keys."
    )
    refused = table(("Operation", "Why"), refused_rows())
    body = table(("Operation", "Resource", "Condition keys", "Further permissions, if needed"), rows)
    beyond = (
        "\n## Unsupported operations\n\nThese exist only inside AWS. They answer `NotSupported` to callers with the "
        "permission, and `AccessDenied` to all others.\n\n"
    )
    return _page("iam_guard/api/iam/table", "The IAM API", introduction, body + beyond + refused)


# --- codes of the linter -----------------------------------------------------------------------------------------


def lint_codes_page() -> str:
    """Return the page of all codes of the linter, the most severe first."""
    introduction = (
        "The findings of [`iam-guard lint`](../how-to/lint-policies.md). Names and levels are those of IAM Access "
        "Analyzer's policy validation; codes without an AWS name are marked *ours*. *Needs* marks findings that "
        "require the reference of the service."
    )
    rows = [
        (
            f"`{code}`",
            WORDS[level_of_code(code)],
            "ours" if code in OWN_LEVELS else "",
            "a reference" if code in NEED_REFERENCE else "",
            hint,
        )
        for code, hint in sorted(HINTS.items(), key=lambda each: (-SEVERITIES.index(level_of_code(each[0])), each[0]))
    ]
    return _page(
        "iam_guard/analysis/lint/lint_codes.py",
        "Lint codes",
        introduction,
        table(("Code", "Level", "Whose", "Needs", "What to do"), rows),
    )


# --- service authorization references ----------------------------------------------------------------------------


def service_references_page() -> str:
    """Return the references of IAM and STS, in the format of `iam-guard reference`."""
    introduction = (
        "The actions, resource types and condition keys of IAM and STS, for policies about them. "
        "[`iam-guard reference`](../how-to/service-reference.md) writes those of an application in the same format."
    )
    return _page(
        "iam_guard/api/iam/table and docs/service_references.py",
        "Service authorization reference",
        introduction,
        "\n".join(markdown([each], level=2) for each in (iam_reference(), sts_reference())),
    )


# --- the root user -----------------------------------------------------------------------------------------------


def root_user_page() -> str:
    """Return the page of the tasks that only the root user can do."""
    introduction = (
        "Each account has one root user. It may do everything in its account without any policy; service control "
        "policies (except in the management account), resource control policies and a Deny of a resource-based policy "
        "limit it, and it can't have policies, groups or a permissions boundary. It can have up to two "
        "access keys and up to eight MFA devices. Use it only for the tasks below."
    )
    rows = [(row.task, row.here or "only in AWS") for row in ROOT_TASKS]
    return _page("iam_guard/api/iam/root_tasks.py", "The root user", introduction, table(("Task", "How, here"), rows))


# --- the layers --------------------------------------------------------------------------------------------------


def layers_picture() -> str:
    """Draw the layers of the import contract, top to bottom."""
    layers = [layer.strip("()").split(" | ") for layer in import_layers() if layer != "(__main__)"]
    width, step, height = 720, 58, 38
    drawn: list[str] = []
    for number, packages in enumerate(layers):
        box = (width - 20 * (len(packages) + 1)) // len(packages)
        for place, package in enumerate(packages):
            left, top = 20 + place * (box + 20), 16 + number * step
            drawn += [
                f'<rect x="{left}" y="{top}" width="{box}" height="{height}" rx="6"/>',
                f'<text x="{left + box // 2}" y="{top + 25}">{package}</text>',
            ]
        if number:
            drawn.append(f'<path d="M{width // 2} {16 + number * step - 18}v12m-4 -5l4 5l4 -5"/>')
    style = (
        "rect{fill:#eef1fb;stroke:#4051b5}text{font:15px monospace;text-anchor:middle;fill:#1c2350}"
        "path{fill:none;stroke:#4051b5;stroke-width:1.5}"
    )
    total = 16 + len(layers) * step
    title = "The layers of iam_guard; a package imports only from the layers below its own"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" role="img" aria-label="{title}">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n" + "\n".join(drawn) + "\n</svg>\n"
    )


def import_layers() -> Sequence[str]:
    """Return the layers from the contract of import-linter."""
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers: Sequence[str] = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return layers


# --- writing -----------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table in Markdown; a `|` in a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _page(source: str, title: str, introduction: str, body: str) -> str:
    return NOTE.format(source=source) + f"# {title}\n\n{introduction}\n\n{body}"


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/settings.md": settings_page,
    "reference/errors.md": errors_page,
    "reference/condition-operators.md": operators_page,
    "reference/context-keys.md": keys_page,
    "reference/policy-types.md": policy_types_page,
    "reference/iam-api.md": iam_api_page,
    "reference/service-authorization.md": service_references_page,
    "reference/lint-codes.md": lint_codes_page,
    "../iam_guard/analysis/reference/iam.json": lambda: reference_json([iam_reference()]),
    "../iam_guard/analysis/reference/sts.json": lambda: reference_json([sts_reference()]),
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
