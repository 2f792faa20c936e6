"""Reads and validates a seed: its keys and their values.

Everything that needs no store is validated here, and all problems are reported together. Rules G-70, G-71, G-76 to
G-79, R-10, R-12, R-13, R-30.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from iam_guard.errors import InvalidInput
from iam_guard.model.arn import Arn, account_of, is_account_id, is_iam_or_sts
from iam_guard.model.decision import PolicyType
from iam_guard.model.saml_metadata import read_metadata
from iam_guard.policy.document import LATEST, Document
from iam_guard.policy.quota import INLINE
from iam_guard.policy.yaml_tree import MapNode, Node, read_tree
from iam_guard.store.accounts.root_email import EMAIL
from iam_guard.store.identifiers import ACCESS_KEY_ID, ALIAS, API_KEY_ID, ARN_BYTES, PROVIDER_URL, Kind, fold
from iam_guard.store.people.sign_on_settings import (
    MAX_PROVIDERS,
    checked_label,
    checked_rules,
    checked_scopes,
    checked_secret,
)
from iam_guard.store.quotas import CLIENT_ID_LENGTH, MAX_SESSION_DURATION, QUOTAS
from iam_guard.store.seed.certificates import CertificateTrustReader
from iam_guard.store.seed.documents import Documents, Files
from iam_guard.store.seed.fields import Fields, SeedProblems, checked_name, node_text
from iam_guard.store.seed.organization import OrganizationReader
from iam_guard.store.seed.seed_values import (
    Seed,
    SeedAccessKey,
    SeedAccount,
    SeedApiKey,
    SeedIdentity,
    SeedOidcProvider,
    SeedPolicy,
    SeedResource,
    SeedSamlProvider,
    SeedSignOnProvider,
)

API_SECRET = re.compile(r"[A-Za-z0-9]{32,128}")
"""The secret part of an API key; long, because an unsalted SHA-256 would not protect a guessable secret."""

_TOP = ("version", "organization", "accounts", "aws_policies")
_MEMBERS = (
    *("alias", "root", "policies", "groups", "users", "roles", "resources", "oidc_providers"),
    *("saml_providers", "sign_on_providers", "trust_anchors", "certificate_profiles", "require_mfa"),
)
_OF_ALL_ACCOUNTS = ("trust_anchors", "certificate_profiles")
"""A client certificate is verified with those of all accounts, so one account's could make another's ambiguous."""
_SHARED = ("name", "path", "attached", "inline")
_KEYS = {
    Kind.GROUP: _SHARED,
    Kind.USER: (*_SHARED, "groups", "boundary", "tags", "access_keys", "api_keys"),
    Kind.ROLE: (*_SHARED, "description", "trust", "max_session_duration", "boundary", "tags", "api_keys"),
}
_SIGN_ON = ("name", "oidc", "saml", "client_id", "client_secret", "scopes", "roles", "trust_mfa")
_STATUSES = ("Active", "Inactive")
SAML_PROVIDER = re.compile(r"[\w.-]{1,128}", re.ASCII)
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_PLACEHOLDER = Document(PolicyType.IDENTITY, LATEST, (), digest="", text="")
"""A placeholder for an invalid document, until the whole seed is rejected."""


def load_seed(
    path: str | os.PathLike[str],
    *,
    environment: Mapping[str, str] | None = None,
    partition: str = "aws",
    quotas: Mapping[str, int] = QUOTAS,
) -> Seed:
    """Read a seed file. Raises `SeedError` with all problems.

    `environment` has the variables for `{env: NAME}`; `partition` is the partition of the store's ARNs,
    `quotas` are those of the store.
    """
    path = Path(path)
    files = Files(path)
    return read_seed(files.read_seed(), path.name, files, environment, partition=partition, quotas=quotas)


def load_seed_text(
    text: str,
    *,
    name: str = "seed",
    environment: Mapping[str, str] | None = None,
    partition: str = "aws",
    quotas: Mapping[str, int] = QUOTAS,
) -> Seed:
    """Read a seed from its text; it can't refer to files. Raises as `load_seed` does."""
    return read_seed(text, name, Files(None), environment, partition=partition, quotas=quotas)


def read_seed(
    text: str,
    name: str,
    files: Files,
    environment: Mapping[str, str] | None = None,
    *,
    partition: str = "aws",
    quotas: Mapping[str, int] = QUOTAS,
) -> Seed:
    """Read the text of a seed; `files` reads the files that it refers to."""
    problems = SeedProblems(name, quotas)
    tree = read_tree(text, problems)
    documents = Documents(files, problems, partition)
    seed = SeedReader(documents, os.environ if environment is None else environment).seed(tree, name)
    problems.raise_any()
    return seed


class SeedReader:
    """Reads the tree of a seed. Without an environment, secrets must be in the seed."""

    def __init__(self, documents: Documents, environment: Mapping[str, str] | None) -> None:
        self._documents = documents
        self._problems = documents.problems
        self._environment = environment

    def seed(self, node: Node, name: str) -> Seed:
        fields = self._fields(node, "a seed", _TOP)
        fields.check_version()
        organization = fields.node("organization")
        return Seed(
            name,
            accounts=fields.each("accounts", self._account),
            aws_policies=fields.each("aws_policies", lambda item: self._policy(item, "AWS managed policy")),
            organization=None
            if organization is None
            else OrganizationReader(self._documents).organization(organization),
        )

    def _account(self, node: Node) -> SeedAccount:
        fields = self._fields(node, "an account", ("id", "name", *_MEMBERS))
        id = fields.account_id("id")
        self._problems.declare(fields.line, "account", id, (id,))
        root = fields.node("root")
        email, root_keys = (None, ()) if root is None else self._root(root)
        return self._members(
            fields, SeedAccount(id, fields.text("name") or id, fields.line, None, email, None, root_keys)
        )

    def new_account(self, node: Node, id: str, name: str, email: str | None) -> SeedAccount:
        """Read the members of one account, whose id, name and e-mail address are given."""
        fields = self._fields(node, "an account", _MEMBERS)
        for key in _OF_ALL_ACCOUNTS:
            if fields.has(key):
                fields.problem(key, f"expected no `{key}` in the seed of a new account: declare them in a seed file")
        root = fields.node("root")
        root_keys = () if root is None else self._root_keys(self._fields(root, "a root user", ("access_keys",)))
        return self._members(fields, SeedAccount(id, name, fields.line, email=email, root_keys=root_keys))

    def _members(self, fields: Fields, of: SeedAccount) -> SeedAccount:
        id, owner = of.id, f"of account {of.id}"
        alias = fields.matching("alias", ALIAS, "an alias of 3 to 63 lower-case letters, digits and single hyphens")
        if alias is not None:
            fields.check_unique("alias", "account alias", alias)
            if is_account_id(alias):
                fields.problem("alias", "expected an alias that is not an account id")
        identities = tuple(
            self._identity(item, kind, owner)
            for kind in (Kind.GROUP, Kind.USER, Kind.ROLE)
            for item in fields.items(f"{kind}s")
        )
        certificates = CertificateTrustReader(self._documents, id)
        account = replace(
            of,
            alias=alias,
            requires_mfa=fields.boolean("require_mfa"),
            policies=fields.each("policies", lambda item: self._policy(item, f"policy {owner}")),
            identities=identities,
            resources=fields.each("resources", lambda item: self._resource(item, id)),
            oidc_providers=fields.each("oidc_providers", lambda item: self._oidc_provider(item, owner)),
            sign_on_providers=fields.each("sign_on_providers", lambda item: self._sign_on_provider(item, id)),
            saml_providers=fields.each("saml_providers", lambda item: self._saml_provider(item, owner)),
            anchors=fields.each("trust_anchors", certificates.anchor),
            profiles=fields.each("certificate_profiles", certificates.profile),
        )
        fields.check_quota("oidc_providers", "OIDC providers per account", len(account.oidc_providers))
        if len(account.sign_on_providers) > MAX_PROVIDERS:
            fields.problem("sign_on_providers", f"expected at most {MAX_PROVIDERS} sign-on providers")
        fields.check_quota("saml_providers", "SAML providers per account", len(account.saml_providers))
        for key in ("policies", "groups", "users", "roles"):
            fields.check_quota(key, f"{key} per account", len(fields.items(key)))
        return account

    def _root(self, node: Node) -> tuple[str | None, tuple[SeedAccessKey, ...]]:
        fields = self._fields(node, "a root user", ("email", "access_keys"))
        email = fields.matching("email", EMAIL, "an e-mail address")
        return email, self._root_keys(fields)

    def _root_keys(self, fields: Fields) -> tuple[SeedAccessKey, ...]:
        return fields.each("access_keys", self._access_key, "access keys per root user")

    # --- policies and resources ----------------------------------------------------------------------------------

    def _policy(self, node: Node, what: str) -> SeedPolicy:
        fields = self._fields(node, "a managed policy", ("name", "path", "description", "document", "tags"))
        name = fields.name("policy")
        fields.check_unique("name", what, name)
        document = self._documents.of_field(fields, "document", PolicyType.IDENTITY, managed=True, required=True)
        description = fields.text("description") or ""
        return SeedPolicy(name, fields.path(), description, document or _PLACEHOLDER, fields.tags(), fields.line)

    def _resource(self, node: Node, account: str) -> SeedResource:
        fields = self._fields(node, "a resource", ("arn", "tags", "policy"))
        arn = fields.text("arn", required=True)
        if arn is not None:
            fields.check_unique("arn", "resource", arn, folded=False)
            self._check_arn(fields, arn, account)
        policy = self._documents.of_field(fields, "policy", PolicyType.RESOURCE)
        return SeedResource(arn or "", fields.tags(), policy, fields.line, fields.line_of("policy"))

    def _check_arn(self, fields: Fields, arn: str, account: str) -> None:
        try:
            Arn.parse(arn)
        except InvalidInput as error:
            fields.problem("arn", error.message)
            return
        if (size := len(arn.encode(errors="replace"))) > ARN_BYTES:
            fields.problem("arn", f"expected an ARN of at most {ARN_BYTES} bytes, got {size}")
        if is_iam_or_sts(arn):
            fields.problem("arn", "expected a resource of the application, got one of IAM")
        owner = account_of(arn)
        if owner not in (None, account):
            fields.problem("arn", f"expected a resource of account {account}, got one of {owner}")

    def _oidc_provider(self, node: Node, owner: str) -> SeedOidcProvider:
        fields = self._fields(node, "an OIDC provider", ("url", "client_ids", "tags"))
        form = "a URL such as https://id.example.com/tenant, without port, query and fragment"
        url = (fields.matching("url", PROVIDER_URL, form, required=True) or "").removeprefix("https://")
        fields.check_unique("url", f"OIDC provider {owner}", url, folded=False)
        client_ids = tuple(ref.text for ref in fields.refs("client_ids"))
        if not all(id.isprintable() and 0 < len(id) <= CLIENT_ID_LENGTH for id in client_ids):
            fields.problem("client_ids", f"expected client ids of 1 to {CLIENT_ID_LENGTH} printable characters")
        fields.check_quota("client_ids", "client ids per OIDC provider", len(client_ids))
        return SeedOidcProvider(url, client_ids, fields.tags(), fields.line)

    def _sign_on_provider(self, node: Node, account: str) -> SeedSignOnProvider:
        fields = self._fields(node, "a sign-on provider", _SIGN_ON)
        name = fields.text("name", required=True) or ""
        fields.check_unique("name", f"sign-on provider of account {account}", name)
        oidc, saml = fields.text("oidc"), fields.text("saml")
        if (oidc is None) == (saml is None):
            self._problems.add(fields.line, "expected either `oidc` or `saml` in a sign-on provider")
        for key in ("client_id", "client_secret", "scopes", "roles"):
            if oidc is None and fields.has(key):
                fields.problem(key, "expected this key with `oidc` only: a SAML response names the roles")
        secret = self._secret(fields, "client_secret") if fields.has("client_secret") else None
        scopes = tuple(ref.text for ref in fields.refs("scopes"))
        roles = tuple(ref.text for ref in fields.refs("roles"))
        checks: list[tuple[str, Callable[[], object]]] = [("name", lambda: checked_label(name))]
        if oidc is not None:
            scopes = ("openid", *(scope for scope in scopes if scope != "openid"))
            checks += [
                ("client_secret", lambda: checked_secret(secret)),
                ("scopes", lambda: checked_scopes(scopes)),
                ("roles", lambda: checked_rules(roles, account)),
            ]
        for key, check in checks:
            try:
                check()
            except InvalidInput as error:
                fields.problem(key, error.message)
        url = None if oidc is None else oidc.removeprefix("https://")
        trusts_mfa = fields.boolean("trust_mfa") is True
        return SeedSignOnProvider(
            name, url, saml, fields.text("client_id"), secret, scopes, roles, trusts_mfa, fields.line
        )

    def _saml_provider(self, node: Node, owner: str) -> SeedSamlProvider:
        fields = self._fields(node, "a SAML provider", ("name", "metadata", "tags"))
        name = fields.matching("name", SAML_PROVIDER, "a name of letters, digits and `_.-`", required=True) or ""
        fields.check_unique("name", f"SAML provider {owner}", name)
        given = fields.node("metadata", required=True)
        text = None if given is None else self._documents.text(given, "a metadata document in XML")
        entity_id, valid_until = "", None
        try:
            if text is not None:
                metadata = read_metadata(text)
                entity_id, valid_until = metadata.entity_id, metadata.valid_until
        except InvalidInput as error:
            fields.problem("metadata", error.message)
        return SeedSamlProvider(name, text or "", entity_id, valid_until, fields.tags(), fields.line)

    # --- identities ----------------------------------------------------------------------------------------------

    def _identity(self, node: Node, kind: Kind, owner: str) -> SeedIdentity:
        fields = self._fields(node, f"a {kind}", _KEYS[kind])
        is_role = kind is Kind.ROLE
        name = fields.name(kind)
        fields.check_unique("name", f"{kind} {owner}", name)
        attached = fields.refs("attached", f"policies attached to a {kind}")
        shortest = MAX_SESSION_DURATION[0]
        return SeedIdentity(
            kind,
            name,
            fields.path(),
            fields.line,
            description=fields.text("description") or "",
            attached=attached,
            inline=self._inline(fields, kind),
            boundary=fields.ref("boundary"),
            tags=fields.tags(),
            groups=fields.refs("groups", "groups per user"),
            access_keys=fields.each("access_keys", self._access_key, "access keys per user"),
            api_keys=fields.each("api_keys", self._api_key),
            trust=self._documents.of_field(fields, "trust", PolicyType.TRUST, required=is_role),
            trust_line=fields.line_of("trust"),
            max_session_duration=fields.integer("max_session_duration", MAX_SESSION_DURATION, shortest)
            if is_role
            else None,
        )

    def _inline(self, fields: Fields, kind: Kind) -> Mapping[str, Document]:
        inline: dict[str, Document] = {}
        folded: set[str] = set()
        for name, node in fields.pairs("inline"):
            checked_name(name.text, "policy", name.line, self._problems)
            if fold(name.text) in folded:
                self._problems.add(name.line, f"two inline policies differ by letter case only: `{name.text}`")
            folded.add(fold(name.text))
            inline[name.text] = self._documents.read(node, PolicyType.IDENTITY) or _PLACEHOLDER
        quota = INLINE[kind.value]
        size = sum(quota.size(document.text) for document in inline.values())
        if size > quota.characters:
            message = f"expected at most {quota.characters} characters of inline policies for a {kind}, got {size}"
            fields.problem("inline", message)  # G-70
        return inline

    # --- credentials ---------------------------------------------------------------------------------------------

    def _access_key(self, node: Node) -> SeedAccessKey:
        fields = self._fields(node, "an access key", ("id", "secret", "status"))
        form = "an access key id of letters and digits that does not begin with ASIA"
        id = fields.matching("id", ACCESS_KEY_ID, form, required=True)
        fields.check_unique("id", "access key", id or "", folded=False)
        secret = self._secret(fields)
        return SeedAccessKey(id or "", secret or "", fields.choice("status", _STATUSES, "Active"), fields.line)

    def _api_key(self, node: Node) -> SeedApiKey:
        fields = self._fields(node, "an API key", ("id", "secret", "digest", "status", "expires", "session_policy"))
        id = fields.matching("id", API_KEY_ID, "an API key id of 4 to 32 letters and digits", required=True)
        fields.check_unique("id", "API key", id or "", folded=False)
        return SeedApiKey(
            id or "",
            digest=self._digest(fields),
            status=fields.choice("status", _STATUSES, "Active"),
            expires=fields.instant("expires"),
            session_policy=self._documents.of_field(fields, "session_policy", PolicyType.SESSION),
            line=fields.line,
        )

    def _digest(self, fields: Fields) -> bytes:
        if fields.has("secret") == fields.has("digest"):
            self._problems.add(fields.line, "expected either `secret` or `digest` in an API key")
            return b""
        if fields.has("secret"):
            secret = self._secret(fields)
            if secret is not None and not API_SECRET.fullmatch(secret):
                fields.problem("secret", "expected a secret of 32 to 128 letters and digits")
            return hashlib.sha256((secret or "").encode()).digest()
        digest = fields.text("digest") or ""
        if not _HEX_DIGEST.fullmatch(digest):
            fields.problem("digest", "expected the SHA-256 of the secret as 64 lower-case hexadecimal digits")
            return b""
        return bytes.fromhex(digest)

    def _secret(self, fields: Fields, key: str = "secret") -> str | None:
        """Return a secret, inline or from an environment variable. Problems never quote it."""
        node = fields.node(key, required=True)
        if isinstance(node, MapNode):
            return self._from_environment(node)
        secret = None if node is None else node_text(node, f"`{key}`", self._problems)
        if secret == "":
            fields.problem(key, "expected a secret of at least 1 character")
        return secret

    def _from_environment(self, node: MapNode) -> str | None:
        variable = self._fields(node, "a secret", ("env",)).text("env", required=True)
        if variable is None:
            return None
        if self._environment is None:
            self._problems.add(node.line, "expected a secret: the seed of a new account has no environment variables")
        elif not self._environment.get(variable):
            self._problems.add(node.line, f"the environment variable `{variable[:200]}` is not set")
        return (self._environment or {}).get(variable)

    def _fields(self, node: Node, what: str, keys: Collection[str]) -> Fields:
        return Fields(node, what, keys, self._problems)
