"""Reading a seed: errors with their lines, and the meaning of each form of a value."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.errors import SeedError
from iam_guard.policy.document import Document
from iam_guard.policy.saving import validate_for_write
from iam_guard.store.seed import Seed, load_seed, load_seed_text
from tests.tables import table

DOCUMENT = '{Version: 2012-10-17, Statement: [{Effect: Allow, Action: "docs:Get*", Resource: "*"}]}'
TRUST = '{Statement: [{Effect: Allow, Principal: {AWS: "111122223333"}, Action: "sts:AssumeRole"}]}'
HEAD = 'version: 1\naccounts:\n  - id: "111122223333"\n'
USER = HEAD + "    users:\n      - name: alice\n"


def load(text: str, **environment: str) -> Seed:
    return load_seed_text(text, name="iam.yaml", environment=environment)


def refused(text: str) -> SeedError:
    with pytest.raises(SeedError) as caught:
        load(text)
    return caught.value


BAD = [
    # (text of the seed, line of the problem, part of its message)
    ("", 1, "expected a YAML document, got an empty file"),
    ("[1]", 1, "expected a mapping that describes a seed, got a list"),
    ("accounts: []", 1, "expected the key `version` in a seed"),
    ("version: 2", 1, "expected version 1"),
    ("version: 1\n---\nversion: 1", 2, "expected one YAML document, got a second"),
    ("version: 1\nacounts: []", 2, "unknown key `acounts`, did you mean `accounts`"),
    ("version: 1\nzzz: 1", 2, "unknown key `zzz`, known are `version`, `organization`, `accounts`, `aws_policies`"),
    ("version: 1\naccounts: {}", 2, "expected a list of accounts, got a mapping"),
    ("version: 1\naccounts:", 2, "expected a list of accounts, got nothing"),
    ("version: 1\naccounts: a: b", 2, "not readable as YAML"),
    ("version: !!python/object:os.system x", 1, "expected no YAML tag, got `tag:yaml.org"),
    ("version: 1\n? [a]\n: b", 2, "expected a plain key, got a list or mapping"),
    ("version: 1\naccounts: *no", 2, "no anchor `no` before this alias"),
    ("version: 1\nversion: 1", 2, "duplicate key `version`"),
    ("version: 1\naccounts:\n  - name: x", 3, "expected the key `id` in an account"),
    ("version: 1\naccounts:\n  - id: 012345678901", 3, "quote the account id `012345678901`"),
    ("version: 1\naccounts:\n  - id: 12345678901", 3, "of 12 digits, quoted if it begins with 0, got"),
    ('version: 1\naccounts:\n  - id: "12345678901x"', 3, "expected an account id of 12 digits, got `12345678901x`"),
    ("version: 1\naccounts:\n  - id: 1_111_222_233_33", 3, "expected an account id of 12 digits"),
    (HEAD + '  - id: "111122223333"', 4, "the account `111122223333` is declared twice"),
    (HEAD + "    alias: Acme", 4, "expected an alias of 3 to 63"),
    (HEAD + "    alias: a--b", 4, "expected an alias of 3 to 63"),
    (HEAD + '    alias: "123412341234"', 4, "expected an alias that is not an account id"),
    (HEAD + "    require_mfa: yes", 4, "expected `true` or `false`, got `yes`"),
    (HEAD + "    require_mfa:", 4, "expected text for `require_mfa`, got nothing"),
    (HEAD + "    root: {email: nobody}", 4, "expected an e-mail address, got `nobody`"),
    (HEAD + "    users: [{path: /x/}]", 4, "expected the key `name` in a user"),
    (HEAD + "    users: [{name: a b}]", 4, "expected a user name of at most 64"),
    (HEAD + f"    users: [{{name: {'x' * 65}}}]", 4, "expected a user name of at most 64"),
    (HEAD + "    users: [{name: bob, path: x/}]", 4, "expected a path that begins and ends with `/`, got `x/`"),
    (HEAD + "    users: [{name: bob}, {name: BOB}]", 4, "the user of account 111122223333 `BOB` is declared twice"),
    (HEAD + "    groups: [{name: g, boundary: B}]", 4, "unknown key `boundary`"),
    (HEAD + "    groups: [{name: g, tags: {a: b}}]", 4, "unknown key `tags`"),
    (HEAD + "    roles: [{name: r}]", 4, "expected the key `trust` in a role"),
    (HEAD + f"    roles: [{{name: r, trust: {TRUST}, max_session_duration: 60}}]", 4, "from 3600 to 43200"),
    (USER + "        boundary:", 6, "expected text for each of `boundary`, got nothing"),
    (USER + "        groups: editors", 6, "expected a list of groups, got text"),
    (USER + "        groups: [a, b, a]", 6, "duplicate item `a`"),
    (USER + f"        groups: [{', '.join(f'g{n}' for n in range(11))}]", 6, "at most 10 groups per user, got 11"),
    (USER + f"        attached: [{', '.join(f'p{n}' for n in range(11))}]", 6, "at most 10 policies attached"),
    (USER + "        tags: {Team: a, team: b}", 6, "two tag keys differ by letter case only: `team`"),
    (USER + "        tags: {aws:x: b}", 6, "tag keys that begin with `aws:` are reserved"),
    (USER + "        tags: {x: <b>}", 6, "expected a tag value of at most 256"),
    (USER + f"        tags: {{{'k' * 129}: b}}", 6, "expected a tag key of 1 to 128"),
    (USER + f"        tags: {{{', '.join(f'k{n}: v' for n in range(51))}}}", 6, "expected at most 50 tags, got 51"),
    (USER + "        access_keys: [{id: A, secret: s}, {id: B, secret: s}, {id: C, secret: s}]", 6, "at most 2"),
    (USER + "        access_keys: [{id: A, secret: s}, {id: A, secret: s}]", 6, "the access key `A` is declared twice"),
    (USER + "        access_keys: [{id: A}]", 6, "expected the key `secret` in an access key"),
    (USER + "        access_keys: [{id: A, secret: ''}]", 6, "expected a secret of at least 1 character"),
    (USER + "        access_keys: [{id: A-B, secret: s}]", 6, "expected an access key id of letters and digits"),
    (USER + "        access_keys: [{id: A, secret: s, status: active}]", 6, "`Active` or `Inactive`, got"),
    (USER + "        access_keys: [{id: A, secret: {env: NOT_SET}}]", 6, "variable `NOT_SET` is not set"),
    (USER + "        api_keys: [{id: abcd}]", 6, "expected either `secret` or `digest` in an API key"),
    (USER + f"        api_keys: [{{id: abcd, secret: {'x' * 32}, digest: {'0' * 64}}}]", 6, "either `secret`"),
    (USER + "        api_keys: [{id: abcd, secret: short}]", 6, "expected a secret of 32 to 128 letters and digits"),
    (USER + "        api_keys: [{id: abcd, digest: abc}]", 6, "expected the SHA-256 of the secret"),
    (USER + f"        api_keys: [{{id: a_b, digest: {'0' * 64}}}]", 6, "expected an API key id of 4 to 32"),
    (USER + f"        api_keys: [{{id: abcd, digest: {'0' * 64}, expires: 2030-01-01}}]", 6, "a time such as"),
    (USER + f"        inline: {{P: {DOCUMENT}, p: {DOCUMENT}}}", 6, "differ by letter case only: `p`"),
    (USER + "        inline: {P: []}", 6, "as a mapping, JSON text or `file: …`, got a list"),
    (USER + "        inline: {P: {file: x.json}}", 6, "a seed given as text can't refer to files"),
    (HEAD + "    policies: [{name: P}]", 4, "expected the key `document` in a managed policy"),
    (HEAD + "    resources: [{arn: x}]", 4, "expected an ARN of six colon-separated fields, got `x`"),
    (HEAD + '    resources: [{arn: "arn:aws:docs::444455556666:x"}]', 4, "expected a resource of account 111122223333"),
    (HEAD + '    resources: [{arn: "arn:aws:iam:::role/x"}]', 4, "expected a resource of the application"),
    (HEAD + '    resources: [{arn: "arn:aws:d:::x"}, {arn: "arn:aws:d:::x"}]', 4, "declared twice"),
    ("version: 1\norganization: {id: x}", 2, "expected an id such as `o-exampleorg`, got `x`"),
    ("version: 1\norganization: {id: o-exampleorg}", 2, "expected the key `management_account` in an organization"),
]  # fmt: skip


@table(("text", "line", "words"), BAD, ids=lambda value: None)
def test_invalid_seed_is_reported_with_its_line(text: str, line: int, words: str) -> None:
    """The message contains what was expected."""
    error = refused(text)
    assert [problem for problem in error.problems if words in problem], error.problems
    problem = next(problem for problem in error.problems if words in problem)
    assert problem.startswith(f"iam.yaml:{line}: ")
    assert error.line is not None
    assert error.place == f"iam.yaml:{error.line}"


def test_message_has_first_problem_and_number_of_others() -> None:
    """The error contains all problems in the order of the file."""
    error = refused("version: 1\nacounts: []\naccounts:\n  - id: 1\n    user: []\n")
    assert str(error) == "iam.yaml:2: unknown key `acounts`, did you mean `accounts`? (and 2 more)"
    assert [problem.split(": ")[0] for problem in error.problems] == ["iam.yaml:2", "iam.yaml:4", "iam.yaml:5"]


def test_problem_in_yaml_document_has_line_of_element() -> None:
    """A problem in a YAML document has the line of the invalid element."""
    text = USER + (
        "        inline:\n"
        "          P:\n"
        "            Version: 2012-10-17\n"
        "            Statement:\n"
        "              - Effect: Allow\n"
        "                Action: docs:Get*\n"
        "                Resource: '*'\n"
        "              - Effect: allow\n"
        "                Action: docs:Get*\n"
        "                Resource: '*'\n"
    )
    assert refused(text).line == 13


def test_problem_in_json_text_has_its_line() -> None:
    """If the text is a literal block, the line of the seed."""
    text = USER + (
        "        inline:\n"
        "          P: |\n"
        "            {\n"
        '              "Version": "2012-10-17",\n'
        '              "Statement": [\n'
        '                {"Effect": "Allow", "Action": "docs:Get*", "Ressource": "*"}\n'
        "              ]\n"
        "            }\n"
    )
    assert refused(text).line == 11


def test_document_can_be_in_a_file(tmp_path: Path) -> None:
    """In the directory of the seed; a problem has the line of that file too."""
    (tmp_path / "good.json").write_text('{"Statement": {"Effect": "Allow", "Action": "docs:*", "Resource": "*"}}')
    seed = tmp_path / "iam.yaml"
    seed.write_text(USER + "        inline: {P: {file: good.json}}")
    [alice] = load_seed(seed).accounts[0].identities
    assert alice.inline["P"].text == (tmp_path / "good.json").read_text()
    (tmp_path / "bad.json").write_text('{\n"Statement": {"Effect": "allow", "Action": "docs:*", "Resource": "*"}}')
    seed.write_text(USER + "        inline: {P: {file: bad.json}, Q: {file: none.json}}")
    with pytest.raises(SeedError) as caught:
        load_seed(seed)
    assert len(caught.value.problems) == 2
    assert caught.value.problems[0].endswith("(at bad.json:2)")
    assert "cannot read the file `none.json`: No such file or directory" in caught.value.problems[1]


def test_unreadable_seed_file_is_a_problem(tmp_path: Path) -> None:
    """A seed file that is missing, or not text, is a problem of the seed."""
    with pytest.raises(SeedError, match=r"iam\.yaml: cannot be read: No such file"):
        load_seed(tmp_path / "iam.yaml")
    (tmp_path / "iam.yaml").write_bytes(b"version: \xff")
    with pytest.raises(SeedError, match="it is not UTF-8"):
        load_seed(tmp_path / "iam.yaml")


def test_scalars_stay_as_written() -> None:
    """`no` is not a boolean, a version not a date, `12:30` not a number; JSON's scalars are converted (G-15)."""
    text = USER + (
        "        tags: {country: no, version: 1.10, when: 2024-01-01, octal: 017}\n"
        "        inline:\n"
        "          P:\n"
        "            Version: 2012-10-17\n"
        "            Statement:\n"
        "              - Effect: Allow\n"
        "                Action: docs:Get*\n"
        "                Resource: '*'\n"
        "                Condition:\n"
        "                  StringEquals: {aws:PrincipalTag/country: no, aws:PrincipalTag/at: 12:30}\n"
        "                  Bool: {aws:SecureTransport: true}\n"
        "                  NumericEquals: {docs:pages: [10, 1.50, 017]}\n"
    )
    [alice] = load(text).accounts[0].identities
    assert alice.tags == {"country": "no", "version": "1.10", "when": "2024-01-01", "octal": "017"}
    document = json.loads(alice.inline["P"].text)
    assert document["Version"] == "2012-10-17"
    assert document["Statement"][0]["Condition"] == {
        "StringEquals": {"aws:PrincipalTag/country": "no", "aws:PrincipalTag/at": "12:30"},
        "Bool": {"aws:SecureTransport": True},
        "NumericEquals": {"docs:pages": [10, 1.50, "017"]},
    }


def test_account_id_may_be_unquoted() -> None:
    """Twelve digits are an account id, quoted or not."""
    accounts = load('version: 1\naccounts: [{id: 111122223333}, {id: "012345678901"}]').accounts
    assert [account.id for account in accounts] == ["111122223333", "012345678901"]


def test_json_seed_equals_yaml_seed() -> None:
    """JSON is YAML: the same seed in JSON has the same value."""
    yaml_seed = load(USER + f"        inline: {{P: {DOCUMENT}}}")
    written = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:Get*", "Resource": "*"}]}
    alice = {"name": "alice", "inline": {"P": written}}
    json_seed = load(json.dumps({"version": 1, "accounts": [{"id": "111122223333", "users": [alice]}]}))
    assert json_seed.accounts[0].identities[0].inline == yaml_seed.accounts[0].identities[0].inline


def test_secret_can_come_from_environment() -> None:
    """`{env: NAME}` reads a secret from the environment; of an API key's, only the digest is kept."""
    keys = "        access_keys: [{id: AKIA, secret: {env: KEY}}]\n        api_keys: [{id: abcd, secret: {env: API}}]\n"
    [alice] = load(USER + keys, KEY="from-env", API="A" * 40).accounts[0].identities
    assert alice.access_keys[0].secret == "from-env"
    assert alice.api_keys[0].digest == hashlib.sha256(b"A" * 40).digest()


def test_repr_and_problems_show_no_secret() -> None:
    """Neither the repr of a seed nor a problem contains a secret (design, section 5)."""
    keys = "        access_keys: [{id: AKIA, secret: TOPSECRET}]\n        api_keys: [{id: abcd, secret: TOPSECRET%s}]\n"
    assert "TOPSECRET" not in repr(load(USER + keys % ("x" * 32)))
    assert "TOPSECRET" not in "".join(refused(USER + keys % "!" + "        tags: []\n").problems)
    assert "TOPSECRET" not in "".join(refused(USER + "        api_keys: [{id: abcd, digest: TOPSECRET}]").problems)


def test_inline_quota_is_a_sum() -> None:
    """All inline policies of a user together have at most 2,048 characters without white space (G-70)."""
    long = ", ".join(f'"docs:{"x" * 50}{number}"' for number in range(18))
    document = f'{{Version: 2012-10-17, Statement: [{{Effect: Allow, Action: [{long}], Resource: "*"}}]}}'
    assert load(USER + f"        inline: {{P: {document}}}")
    error = refused(USER + f"        inline: {{P: {document}, Q: {document}}}")
    assert "expected at most 2048 characters of inline policies for a user" in str(error)


def test_long_yaml_control_policy_is_stored_compactly() -> None:
    """An SCP's quota counts white space (G-72), so a long document is stored without indentation."""
    actions = ", ".join(f'"docs:{"x" * 20}{number:03}"' for number in range(300))
    document = f'{{Version: 2012-10-17, Statement: [{{Effect: Deny, Action: [{actions}], Resource: "*"}}]}}'
    head = 'version: 1\norganization:\n  id: o-exampleorg\n  management_account: "111122223333"\n'
    seed = load(head + f"  policies: [{{name: Long, type: SCP, document: {document}}}]")
    assert seed.organization is not None
    assert "\n" not in seed.organization.policies[0].document.text


ORGANIZATION = [
    ("policies: [{name: P, document: {}}]", "expected the key `type` in a control policy"),
    ("policies: [{name: P, type: scp, document: {}}]", "expected `SCP` or `RCP`, got `scp`"),
    (f"policies: [{{name: FullAWSAccess, type: SCP, document: {DOCUMENT}}}]", "is reserved for AWS's own policy"),
    (
        f"policies: [{{name: P, type: SCP, document: {DOCUMENT}}}, {{name: p, type: SCP, document: {DOCUMENT}}}]",
        "SCP p",
    ),
    ("scps: []", "expected at least one of `scps`"),
    (f"scps: [{', '.join(f'p{n}' for n in range(11))}]", "expected at most 10 SCPs per root, unit or account, got 11"),
    (f"rcps: [{', '.join(f'p{n}' for n in range(5))}]", "expected at most 5 RCPs per root, unit or account, got 6"),
    ("units: [{name: a}, {name: A}]", "the unit `a` is in the organization twice"),
    ("units: [{id: ou-ab12-11111111}]", "expected the key `name` in a unit"),
    ("units: [{name: a, id: x}]", "expected an id such as `ou-ab12-11111111`, got `x`"),
    ('accounts: ["111122223333", {id: "111122223333"}]', "the account `111122223333` is in the organization twice"),
    (f"units: [{'{name: u, units: [' * 6}{']}' * 6}]", "expected at most 5 levels of units below the root"),
]


@table(("members", "words"), ORGANIZATION)
def test_invalid_organization_is_refused(members: str, words: str) -> None:
    """An organization's quotas, names and tree are checked (G-72, G-76)."""
    head = f'version: 1\norganization:\n  id: o-exampleorg\n  management_account: "111122223333"\n  {members}\n'
    error = refused(head)
    assert words in "".join(error.problems)
    assert error.line == 5


def test_yaml_alias_repeats_a_document() -> None:
    """A YAML alias saves writing the same document twice."""
    text = HEAD + f"    users: [{{name: a, inline: {{P: &p {DOCUMENT}}}}}, {{name: b, inline: {{P: *p}}}}]"
    first, second = load(text).accounts[0].identities
    assert first.inline == second.inline


def test_yaml_alias_bomb_is_refused() -> None:
    """Nested aliases that expand to billions of values, or to endless depth, are refused at once."""
    bomb = "version: 1\na0: &a0 [x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    assert "expected at most 5000000 values" in str(refused(bomb))
    deep = "version: 1\na0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 100))
    assert "expected at most 64 levels" in str(refused(deep))
    assert "no anchor `a`" in str(refused("version: &a [*a]"))


def test_deep_nesting_is_refused() -> None:
    """Nesting beyond the limit is refused, not followed."""
    assert "expected at most 64 levels" in str(refused("version: " + "[" * 100))


@given(
    st.text(max_size=200) | st.binary(max_size=50).map(lambda data: "version: 1\naccounts: " + data.decode("latin-1"))
)
def test_any_text_is_read_or_raises_seed_error(text: str) -> None:
    """No text makes the reader raise another error."""
    try:
        load(text)
    except SeedError as error:
        assert error.problems  # noqa: PT017


@table(
    ("account", "words"),
    [
        ('name: "a\\0b"', "NUL"),
        ('users: [{name: a, path: "/a\\0b/"}]', "expected"),
        ("resources: [{arn: 'arn:aws:docs:::%s'}]" % ("x" * 2040), "expected an ARN of at most 2048 bytes, got 2055"),
        ("resources: [{arn: 'arn:aws:docs:::%s'}]" % ("é" * 1020), "expected an ARN of at most 2048 bytes, got 2055"),
    ],
)
def test_unstorable_text_is_refused(account: str, words: str) -> None:
    """NUL characters, and ARNs over AWS's maximum, which are too long for PostgreSQL's indexes."""
    assert words in "".join(refused(f'version: 1\naccounts: [{{id: "111122223333", {account}}}]').problems)


def test_equal_documents_are_validated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most users of a large seed have the same few policies."""
    checked: list[object] = []

    def check(*arguments: Any, **options: Any) -> Document:
        checked.append(arguments)
        return validate_for_write(*arguments, **options)

    monkeypatch.setattr("iam_guard.store.seed.documents.validate_for_write", check)
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:Get", "Resource": "*"}]}
    users = [{"name": f"user{number}", "inline": {"Own": document}} for number in range(5)]
    policies = [{"name": "P", "document": document}]
    account = {"id": "111122223333", "users": users, "policies": policies}
    seed = load_seed_text(json.dumps({"version": 1, "accounts": [account]}))
    assert len({identity.inline["Own"].digest for identity in seed.accounts[0].identities}) == 1
    assert len(checked) == 2  # as an inline policy and as a managed one, which have other quotas
