"""A corpus of policies as applications with tenants, teams and classified data write them, and the models of these.

Each shape of a statement is one that documentation and customers use; weights say how often. Those that a list can't be
filtered by are in it, too: text without regard to letter case, dates and numbers in tags, money on SQLite.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from iam_guard import Service
from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.model.decision import PolicyType

Doc: TypeAlias = dict[str, Any]
METADATA: Final = sa.MetaData()
TENANTS: Final = ["acme", "globex", "initech", "umbrella-eu"]
TEAMS: Final = ["red", "blue", "platform", "legal & finance"]
STAGES: Final = ["dev", "test", "prod"]


def _table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    common = [sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("account", sa.String(12))]
    return sa.Table(name, METADATA, *common, *columns, sa.Column("tags", sa.JSON))


def _type(service: str, name: str, template: str, table: sa.Table, keys: dict[str, str]) -> ResourceMapping:
    columns = {f"{service}:{key}": table.c[column] for key, column in keys.items()}
    return Service(service).resource_type(
        name, template, model=table, account=table.c.account, tags=table.c.tags, keys=columns
    )


DOCUMENTS = _table(
    "corpus_documents",
    *(sa.Column(name, sa.Text) for name in ("tenant", "classification", "owner", "status")),
    sa.Column("size", sa.BigInteger),
    sa.Column("created", sa.DateTime(timezone=True)),
    sa.Column("is_public", sa.Boolean),
)
INVOICES = _table(
    "corpus_invoices",
    *(sa.Column(name, sa.Text) for name in ("tenant", "customer", "currency")),
    sa.Column("status", sa.Enum("draft", "sent", "paid", name="invoice_status")),
    sa.Column("amount", sa.Numeric(12, 2)),
    sa.Column("due", sa.DateTime(timezone=True)),
)
DEVICES = _table(
    "corpus_devices",
    *(sa.Column(name, sa.Text) for name in ("tenant", "address", "firmware", "site")),
    sa.Column("temperature", sa.Float(53)),
    sa.Column("last_seen", sa.DateTime),
)
TYPES: Final = {
    "docs": _type(
        "docs",
        "document",
        "tenant/{tenant}/document/{id}",
        DOCUMENTS,
        {
            "Class": "classification",
            "Owner": "owner",
            "Status": "status",
            "Size": "size",
            "Created": "created",
            "Public": "is_public",
        },
    ),
    "billing": _type(
        "billing",
        "invoice",
        "invoice/{id}",
        INVOICES,
        {"Customer": "customer", "Currency": "currency", "Status": "status", "Amount": "amount", "Due": "due"},
    ),
    "fleet": _type(
        "fleet",
        "device",
        "site/{site}/device/{id}",
        DEVICES,
        {"Address": "address", "Firmware": "firmware", "Temperature": "temperature", "LastSeen": "last_seen"},
    ),
}
TEXT_KEYS: Final = {
    "docs": {"Class": ["public", "internal", "secret"], "Status": ["draft", "final"], "Owner": ["ann", "bob"]},
    "billing": {"Currency": ["EUR", "USD"], "Status": ["draft", "sent", "paid"], "Customer": ["c-1001", "c-1002"]},
    "fleet": {"Firmware": ["1.4.2", "2.0.0-beta"]},
}
DATE_KEYS: Final = {"docs": "Created", "billing": "Due", "fleet": "LastSeen"}


class Writer:
    """Writes statements about resources of one service."""

    def __init__(self, rng: random.Random, service: str) -> None:
        self.rng, self.service = rng, service

    def one(self, items: list[str]) -> str:
        return self.rng.choice(items)

    def some(self, items: list[str]) -> list[str] | str:
        """Return one of the items, or several."""
        return self.one(items) if self.rng.random() < 0.5 else self.rng.sample(items, min(2, len(items)))

    def key(self, name: str) -> str:
        return f"{self.service}:{name}"

    def text_key(self) -> tuple[str, list[str]]:
        name, values = self.rng.choice(list(TEXT_KEYS[self.service].items()))
        return self.key(name), values

    def arn(self, last: str) -> str:
        region, account = self.one(["*", "", "us-east-1", "eu-*"]), self.one(["*", "111122223333", "111122223333"])
        return f"arn:aws:{self.service}:{region}:{account}:{last}"

    # --- resources -----------------------------------------------------------------------------------------------

    def resource(self) -> list[str] | str:
        shapes = ["*", "*", self.tenant_path(), self.tenant_path(), self.caller_path(), self.prefix(), self.arn("*")]
        return self.rng.choice([*shapes, [self.prefix(), self.tenant_path()]])

    def tenant_path(self) -> str:
        tenant = self.one([*TENANTS, "${aws:PrincipalTag/tenant}", "${aws:PrincipalTag/tenant, 'shared'}"])
        last = {"docs": f"tenant/{tenant}/*", "billing": "invoice/*", "fleet": f"site/{tenant}/*"}
        return self.arn(last[self.service])

    def caller_path(self) -> str:
        name = self.one(["${aws:username}", "${aws:userid}", "${aws:PrincipalTag/user}"])
        return self.arn({"docs": f"tenant/{name}/*", "billing": "invoice/*", "fleet": f"site/{name}-*"}[self.service])

    def prefix(self) -> str:
        number = self.rng.randrange(1, 500)
        last = {
            "docs": [f"tenant/*/document/{number}", f"tenant/{self.one(TENANTS)}/document/{number}*", "tenant/*-eu/*"],
            "billing": [f"invoice/{number}", "invoice/20*", f"invoice/??{number}"],
            "fleet": [f"site/berlin-*/device/{number}", "site/*/device/*", "site/b?/*"],
        }
        return self.arn(self.one(last[self.service]))

    # --- conditions ----------------------------------------------------------------------------------------------

    def same_tag(self) -> Doc:
        tag = self.one(["team", "tenant", "project", "CostCenter"])
        operator = self.one(["StringEquals", "StringEquals", "StringEqualsIfExists", "StringLike"])
        return {operator: {f"aws:ResourceTag/{tag}": f"${{aws:PrincipalTag/{tag}}}"}}

    def tag_value(self) -> Doc:
        operator = self.one(["StringEquals", "StringEquals", "StringEqualsIfExists", "ForAnyValue:StringEquals"])
        return {operator: {"aws:ResourceTag/stage": self.some(STAGES)}}

    def tag_pattern(self) -> Doc:
        return {"StringLike": {"aws:ResourceTag/project": self.some(["web-*", "*-internal", "p?", "apollo"])}}

    def untagged(self) -> Doc:
        return {
            "Null": {f"aws:ResourceTag/{self.one(['owner', 'team', 'classification'])}": self.one(["true", "false"])}
        }

    def text(self) -> Doc:
        key, values = self.text_key()
        return {self.one(["StringEquals", "StringEquals", "StringEqualsIfExists"]): {key: self.some(values)}}

    def not_text(self) -> Doc:
        key, values = self.text_key()
        return {self.one(["StringNotEquals", "StringNotLike", "StringNotEqualsIfExists"]): {key: self.some(values)}}

    def pattern(self) -> Doc:
        key, values = self.text_key()
        return {"StringLike": {key: [f"{value[:2]}*" for value in values]}}

    def set_of_texts(self) -> Doc:
        key, values = self.text_key()
        return {self.one(["ForAllValues:StringEquals", "ForAnyValue:StringLike"]): {key: values}}

    def own(self) -> Doc:
        key = {"docs": "Owner", "billing": "Customer", "fleet": "Firmware"}[self.service]
        return {"StringEquals": {self.key(key): self.one(["${aws:username}", "${aws:PrincipalTag/user, 'unknown'}"])}}

    def own_by_tag(self) -> Doc:
        return {self.one(["StringEquals", "StringLike"]): {"aws:ResourceTag/owner": "${aws:username}"}}

    def date(self) -> Doc:
        operator = self.one(["DateLessThan", "DateGreaterThanEquals", "DateGreaterThanIfExists"])
        moment = self.one(["2026-01-01T00:00:00Z", "2025-06-30T22:00:00+02:00", "2026-01-01"])
        return {operator: {self.key(DATE_KEYS[self.service]): moment}}

    def number(self) -> Doc:
        key = {"docs": "Size", "billing": "Amount", "fleet": "Temperature"}[self.service]
        operator = self.one(["NumericLessThan", "NumericLessThanEquals", "NumericGreaterThanIfExists"])
        return {operator: {self.key(key): self.one(["100", "1048576", "0", "37.5"])}}

    def flag(self) -> Doc:
        return {"Bool": {"docs:Public": self.one(["true", "false"])}} if self.service == "docs" else self.text()

    def network(self) -> Doc:
        return {self.one(["IpAddress", "NotIpAddress"]): {"aws:SourceIp": self.some(["10.0.0.0/8", "2001:db8::/32"])}}

    def device_network(self) -> Doc:
        return {"IpAddress": {"fleet:Address": "10.20.0.0/16"}} if self.service == "fleet" else self.network()

    def session(self) -> Doc:
        return self.rng.choice(
            [
                {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
                {"BoolIfExists": {"aws:SecureTransport": "true"}},
                {"DateLessThan": {"aws:CurrentTime": "2026-12-31T23:59:59Z"}},
                {"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}},
            ]
        )

    def organization(self) -> Doc:
        account = {"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}}
        arn = {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/team/*"}}
        return self.rng.choice([account, arn, {"StringEquals": {"aws:PrincipalOrgID": "o-exampleorg"}}])

    def letter_case(self) -> Doc:
        key, values = self.text_key()
        return {"StringEqualsIgnoreCase": {key: self.one(values)}}

    def date_in_tag(self) -> Doc:
        return {"DateGreaterThan": {"aws:ResourceTag/expires": "2026-01-01T00:00:00Z"}}

    def number_in_tag(self) -> Doc:
        return {"NumericLessThanEquals": {"aws:ResourceTag/level": "3"}}

    def statement(self) -> Doc:
        """Return a statement that allows, or a guard that denies."""
        is_guard = self.rng.random() < 0.25
        verbs = ["Get", "List", "Update", "Delete", "*"]
        actions = [f"{self.service}:{verb}*".replace("**", "*") for verb in self.rng.sample(verbs, 2)]
        statement: Doc = {"Effect": "Deny" if is_guard else "Allow", "Action": actions}
        name = "NotResource" if is_guard and self.rng.random() < 0.2 else "Resource"
        resource = self.resource()
        statement[name] = self.tenant_path() if name == "NotResource" else resource
        weights = [weight for _, weight in SHAPES]
        (count,) = self.rng.choices([0, 1, 2, 3], weights=[1, 6, 3, 1] if is_guard else [4, 7, 3, 1])
        condition: Doc = {}
        for shape, _ in self.rng.choices(SHAPES, weights=weights, k=count):
            for operator, test in shape(self).items():
                condition.setdefault(operator, {}).update(test)
        return statement | ({"Condition": condition} if condition else {})


SHAPES: Final[list[tuple[Callable[[Writer], Doc], int]]] = [
    *((Writer.same_tag, 14), (Writer.tag_value, 12), (Writer.tag_pattern, 4), (Writer.untagged, 5)),
    *((Writer.text, 12), (Writer.not_text, 6), (Writer.pattern, 4), (Writer.set_of_texts, 3)),
    *((Writer.own, 6), (Writer.own_by_tag, 6), (Writer.date, 5), (Writer.number, 4), (Writer.flag, 3)),
    *((Writer.network, 5), (Writer.device_network, 2), (Writer.session, 8), (Writer.organization, 5)),
    *((Writer.letter_case, 1), (Writer.date_in_tag, 1), (Writer.number_in_tag, 1)),
]
"""What conditions are about, and how often."""

KINDS: Final = [PolicyType.IDENTITY] * 6 + [
    PolicyType.BOUNDARY,
    PolicyType.SESSION,
    PolicyType.SCP,
    PolicyType.RESOURCE,
]


def write_policies(seed: int, statements: int) -> Iterator[tuple[PolicyType, str, Doc]]:
    """Yield policies with at least so many statements: their types, services and documents."""
    rng = random.Random(seed)
    written = 0
    while written < statements:
        kind, service = rng.choice(KINDS), rng.choice([*TYPES, "docs"])
        writer = Writer(rng, service)
        found = [writer.statement() for _ in range(rng.randint(1, 5))]
        if kind is PolicyType.RESOURCE:
            found = [statement | {"Principal": rng.choice(["*", {"AWS": "111122223333"}])} for statement in found]
        written += len(found)
        yield kind, service, {"Version": "2012-10-17", "Statement": found}
