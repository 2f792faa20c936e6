"""The page of the command line, generated from the help texts of the commands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import click
from page import page

from iam_guard.cli.group import main

SECTIONS: Mapping[str, str] = {
    "Store": "init apply reseal account resource-policy api-key revocation-list",
    "Servers and applications": "serve routes reference",
    "Policies and access": "lint check analyze who-can what-can matrix",
    "Decisions": "decide test explain why",
    "Audit trail": "audit",
}
"""The commands of each section, in the order of the page."""

GUIDES: Mapping[str, str] = {
    "init": "Upgrades the schema of an existing store. The keys are created next to an SQLite file.",
    "apply": "Prints each change, or `no changes`. See [Seed files](seed.md).",
    "resource-policy": "See [Share resources between accounts](../how-to/share-resources.md).",
    "api-key": "See [Issue API keys](../how-to/api-keys.md).",
    "account tool-sessions": "See [End sessions](../how-to/aws-login.md#end-sessions).",
    "account reset-link": "See [Reset a forgotten password](../how-to/sign-in.md#reset-a-forgotten-password).",
    "account export-person": "See [Export and erase a person's data](../how-to/people-rights.md#export).",
    "account erase-person": "See [Export and erase a person's data](../how-to/people-rights.md#erase).",
    "account sign-on": "See [Let people sign in with their company's identity provider](../how-to/company-sign-on.md).",
    "account": "The password is neither an argument nor shown. See [Rules for passwords]"
    "(../how-to/manage-identities-with-aws-tools.md#rules-for-passwords).",
    "reseal": "See [Rotate the sealing keys](../how-to/run-in-production.md#rotate-the-sealing-keys).",
    "revocation-list": "See [Authenticate clients by certificate](../how-to/client-certificates.md).",
    "serve": "Prints one line with the address when it is ready. See "
    "[Manage identities with AWS's tools](../how-to/manage-identities-with-aws-tools.md).",
    "routes": "Shows decorators, or the rows of a [route map](../how-to/guard-untouched-handlers.md). "
    "A parameter that neither the route nor the handler has is an error.",
    "reference": "See [Write your service authorization reference](../how-to/service-reference.md).",
    "lint": "See [Lint policies](../how-to/lint-policies.md) and [Lint codes](lint-codes.md).",
    "analyze external": "See [Find external access](../how-to/find-external-access.md).",
    "analyze internal": "See [Find internal access](../how-to/find-internal-access.md).",
    "analyze unused": "See [Find unused access](../how-to/find-unused-access.md).",
    "check no-new-access": "See [Prove what policies allow](../how-to/prove-policies.md).",
    "check invariants": "See [Prove invariants of a whole store](../how-to/prove-invariants.md).",
    "check seed": "See [Check policies in CI](../how-to/check-policies-in-ci.md).",
    "check batch": 'Each line is `{"id", "check", …}` with the members that the check needs: `policyType` '
    "(`IDENTITY_POLICY` or `RESOURCE_POLICY`), `existing` and `new`, `policy`, `access` (a list of objects with "
    '`actions` and `resources`), `resourceType`. Each answer is `{"id", "result", "reasons", "witness"}`, or '
    '`{"id", "error"}`.',
    "analyze report": "See [Report access to people](../how-to/report-access.md).",
    "analyze escalation": "See [Find escalation paths](../how-to/find-escalation.md).",
    "who-can": "See [Find out who can do something](../how-to/who-can.md), also "
    "[through roles](../how-to/who-can.md#through-roles).",
    "what-can": "See [Find out who can do something](../how-to/who-can.md).",
    "matrix": "See [Write an access matrix](../how-to/test-your-policies.md#write-an-access-matrix) and the "
    "[format of the file](testing.md#matrix-files).",
    "decide": 'Writes `{"id", "error"}` for a case that can\'t be decided. See [Cases](#cases).',
    "test": "Exit code 1 if a case fails, or if coverage is below `--min`. See "
    "[Files of policy tests](testing.md#files-of-policy-tests) and "
    "[What policy coverage counts](testing.md#what-policy-coverage-counts).",
    "explain": "See [Explain a denial](../how-to/explain-a-denial.md).",
    "why": "Reads the audit trail, and shows the decision with the current policies, too. See "
    "[From the request id](../how-to/explain-a-denial.md#from-the-request-id).",
    "audit verify": "See [Verify the audit trail](../how-to/verify-the-audit-trail.md).",
    "audit drop": "See [Drop old segments](../how-to/verify-the-audit-trail.md#drop-old-segments).",
    "audit tail": "See [Consume the audit trail](../how-to/consume-the-audit-trail.md).",
    "audit export": "See [Consume the audit trail](../how-to/consume-the-audit-trail.md).",
    "audit query": "Requires the extra `query`. See [Query](../how-to/consume-the-audit-trail.md#query).",
    "audit pseudonym-key": "See [Pseudonyms](../how-to/keep-personal-data-out.md#pseudonyms).",
    "audit pseudonym": "See [Pseudonyms](../how-to/keep-personal-data-out.md#pseudonyms).",
    "audit replay": "See [Replay decisions](../how-to/replay-decisions.md).",
    "audit shadow": "See [Shadow mode](../how-to/replay-decisions.md#shadow-mode).",
    "audit generate-policy": "See [Generate policies from activity](../how-to/generate-policies.md).",
    "audit feed": "See "
    "[Update last-used times in the store](../how-to/generate-policies.md#update-last-used-times-in-the-store).",
    "audit ship": "Exit code 1 if a record has not arrived or was rejected, 2 if the trail is damaged. See "
    "[Ship the audit trail](../how-to/ship-the-audit-trail.md).",
}
"""What the page says about a command after its help text."""

_INTRODUCTION = (
    "The commands of `iam-guard` and their options. `iam-guard COMMAND --help` shows the same texts.\n\n"
    "- **Exit codes**: 0 for success or yes, 1 for no or findings, 2 for wrong usage or an error.\n"
    "- **Errors** are written to standard error, one line for each problem.\n"
    "- **Colours** are for terminals only. The environment variable `NO_COLOR` turns them off.\n"
    "- **Progress bars** appear after a second, on standard error, if that is a terminal.\n"
    "- **`MODULE:APP`** is an application, or a function without arguments that returns one: `service.main:app`.\n\n"
    "## Common options\n\n"
    "- `--store URL`: Use the store at this database URL; commands that only read, and those of the trail, accept "
    "a seed file too. The variable `IAM_GUARD_STORE` sets it, too. Default: `sqlite:///iam-guard.db`.\n"
    "- `--json`: Write JSON instead of text.\n"
    "- `-h`, `--help`: Show the help text."
)
_CASES = """## Cases

`decide`, `test` and `explain` read cases. A case is a JSON object:

```json
{"id": "rita reads", "expected": "Allowed",
 "request": {"principal": {"type": "User", "arn": "arn:aws:iam::111122223333:user/rita", "account": "111122223333"},
             "action": "docs:GetDocument", "resource": "arn:aws:docs:us-east-1:111122223333:document/7",
             "resource_account": "111122223333", "context": {}},
 "policies": {"identity": [{"Version": "2012-10-17",
                            "Statement": [{"Effect": "Allow", "Action": "docs:Get*", "Resource": "*"}]}]}}
```

- `policies` may have the members `identity`, `resource`, `permissions_boundary`, `session`, `scps`, `rcps` (lists of
  levels, root first) and `vpc_endpoint`.
- `expected` is an outcome (`Allowed`, `ImplicitlyDenied`, `ExplicitlyDenied`), or `error` for an invalid case.
- In a file, not in a stream, `principal` may also be an ARN, and a policy `{"file": path}`. See [Test your
  policies](../how-to/test-your-policies.md).
"""


def command_line_page() -> str:
    root = click.Context(main, info_name="iam-guard", **main.context_settings)
    sections = [
        f"## {title}\n\n" + "\n".join(text for name in names.split() for text in _entries(main, root, name))
        for title, names in SECTIONS.items()
    ]
    return page("iam_guard/cli", "Command line", _INTRODUCTION, "\n".join([*sections, _CASES]))


def _entries(group: click.Group, parent: click.Context, name: str) -> Iterator[str]:
    """Describe a command; of a group also its commands."""
    command = group.get_command(parent, name)
    if command is None:
        raise LookupError(name)
    context = click.Context(command, info_name=name, parent=parent)
    path = context.command_path
    texts = [command.help or "", GUIDES.get(path.removeprefix("iam-guard "), "")]
    about = " ".join(" ".join(text.split()) for text in texts if text)
    if isinstance(command, click.Group):
        yield f"### {path}\n\n{about}\n"
        for child in command.list_commands(context):
            yield from _entries(command, context, child)
        return
    heading = "###" if group is main else "####"
    usage = f"```text\n{path} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    options = "".join(f"{line}\n" for line in _options(command, context))
    yield f"{heading} {path}\n\n{usage}\n{about}\n" + (f"\n{options}" if options else "")


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    """List the options; those of several commands are only named."""
    common = []
    for option in command.params:
        record = option.get_help_record(context)
        if record is None or not isinstance(option, click.Option):
            continue
        if option.envvar == "IAM_GUARD_STORE" or option.name == "as_json":
            common.append(f"`{option.opts[0]}`")
        else:
            names, about = (
                re.sub("(FLOAT|INTEGER) RANGE", "NUMBER", record[0]),
                re.sub(r"  \[(.+)\]$", r" (\1)", record[1]),
            )
            yield f"- `{names}`: {about}"
    if common:
        yield f"- [Common options](#common-options): {', '.join(common)}"
