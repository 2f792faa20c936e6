"""Wrong mappings: each function creates a table with rows, and returns a declaration that is wrong about them.

`MISTAKES` has them with the name that `verify` must report, and what it says.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column, relationship, with_loader_criteria

from iam_guard import Service, TagRows

from .mistakes import POSTGRESQL, SQLITE, Mistakes

ACCOUNT = "111122223333"
MISTAKES = Mistakes()
found_as = MISTAKES.found_as


def make_model(table: str = "document", **attributes: Any) -> Any:
    """Return a model with the columns `id` and `owner`, unless others are given."""
    base: Any = type("Base", (DeclarativeBase,), {"__module__": __name__})
    columns = {"id": mapped_column(sa.Integer, primary_key=True), "owner": mapped_column(sa.Text)}
    return type("Document", (base,), {"__module__": __name__, "__tablename__": table, **columns, **attributes})


def declare(model: Any, template: str = "document/{id}", account: Any = ACCOUNT, **options: Any) -> Any:
    return Service("docs").resource_type("document", template, model=model, account=account, **options)


def fill(session: Session, model: Any, *rows: dict[str, Any]) -> None:
    """Create the tables of a model, and rows in its own."""
    connection = session.connection()
    model.metadata.create_all(connection)
    if rows:
        connection.execute(sa.insert(model.__table__), list(rows))
    session.commit()


def run(session: Session, *statements: str) -> None:
    for statement in statements:
        session.connection().exec_driver_sql(statement)
    session.commit()


# --- values that Python changes ----------------------------------------------------------------------------------


@found_as("docs:Owner", "object `ANN`, query `ann`, in row 1 and 1 more")
def hybrid_with_another_value(session: Session) -> Any:
    def shouted(self: Any) -> Any:
        return self.owner.upper()

    model = make_model(shouted=hybrid_property(shouted).expression(lambda cls: cls.owner))
    fill(session, model, {"id": 1, "owner": "ann"}, {"id": 2, "owner": "bob"})
    return declare(model, keys={"docs:Owner": model.shouted})


@found_as("docs:Owner", "object `ann`, query `ann@example.com`")
def property_with_the_name_of_the_column(session: Session) -> Any:
    model = make_model(owner=property(lambda self: self.email.partition("@")[0]), email=mapped_column("owner", sa.Text))
    fill(session, model, {"id": 1, "owner": "ann@example.com"})
    return declare(model, keys={"docs:Owner": model.__table__.c.owner})


@found_as("docs:Owner", "object `bob`, query `ann`")
def swapped_columns(session: Session) -> Any:
    model = make_model(owner=mapped_column("editor", sa.Text), editor=mapped_column("owner", sa.Text))
    fill(session, model, {"id": 1, "owner": "ann", "editor": "bob"})
    return declare(model, keys={"docs:Owner": model.__table__.c.owner})


@found_as("docs:Owner", "object `ann`, query `bob`")
def expression_labelled_as_another_column(session: Session) -> Any:
    model = make_model(editor=mapped_column(sa.Text))
    fill(session, model, {"id": 1, "owner": "ann", "editor": "bob"})
    return declare(model, keys={"docs:Owner": sa.func.coalesce(model.editor, model.owner).label("owner")})


@found_as("docs:Owner", "object `ANN`, query `ann`")
def event_that_changes_case(session: Session) -> Any:
    model = make_model()
    event.listen(model, "load", lambda item, _: item.__dict__.update(owner=item.owner.upper()))
    fill(session, model, {"id": 1, "owner": "ann"})
    return declare(model, keys={"docs:Owner": model.owner})


@found_as("docs:Owner", "object no value, query `  `")
def blanks_that_mean_absent(session: Session) -> Any:
    model = make_model(owner=property(lambda self: self.stored.strip()), stored=mapped_column("owner", sa.Text))
    fill(session, model, {"id": 1, "owner": "ann"}, {"id": 2, "owner": "  "})
    return declare(model, keys={"docs:Owner": model.__table__.c.owner}, absent={"docs:Owner": "empty"})


@found_as("docs:Owner", "object `everyone`, query `ann`, in row 2")
def sibling_in_the_same_table(session: Session) -> Any:
    model = make_model(
        owner=property(lambda self: self.stored),
        stored=mapped_column("owner", sa.Text),
        kind=mapped_column(sa.Text),
        __mapper_args__={"polymorphic_on": "kind", "polymorphic_identity": "document"},
    )
    attributes = {"owner": property(lambda self: "everyone"), "__mapper_args__": {"polymorphic_identity": "memo"}}
    type("Memo", (model,), {"__module__": __name__, **attributes})
    rows = [{"id": 1, "owner": "ann", "kind": "document"}, {"id": 2, "owner": "ann", "kind": "memo"}]
    fill(session, model, *rows)
    return declare(model, keys={"docs:Owner": model.__table__.c.owner})


@found_as("ARN", "object `arn:aws:docs:us-east-1:111122223333:document/a-1`, query `arn:aws:docs:us-east-1:111122")
def parameter_in_another_form(session: Session) -> Any:
    def slug(self: Any) -> Any:
        return self.stored.lower()

    stored = mapped_column("slug", sa.Text)
    model = make_model(stored=stored, slug=hybrid_property(slug).expression(lambda cls: cls.stored))
    fill(session, model, {"id": 1, "slug": "A-1"})
    return declare(model, "document/{slug}")


# --- accounts ----------------------------------------------------------------------------------------------------


@found_as("{account}", "object `111122223333`, query `999988887777`")
def account_by_another_join(session: Session) -> Any:
    model = make_model(
        folder_id=mapped_column(sa.ForeignKey("folder.id")),
        template_id=mapped_column(sa.ForeignKey("folder.id")),
        account=property(lambda self: self.folder.account),
    )
    columns = {"id": mapped_column(sa.Integer, primary_key=True), "account": mapped_column(sa.Text)}
    folder: Any = type("Folder", (model.__base__,), {"__module__": __name__, "__tablename__": "folder", **columns})
    model.folder = relationship(folder, foreign_keys=[model.folder_id])
    fill(session, folder, {"id": 1, "account": ACCOUNT}, {"id": 2, "account": "999988887777"})
    fill(session, model, {"id": 1, "folder_id": 1, "template_id": 2})
    account = sa.select(folder.account).where(folder.id == model.template_id).scalar_subquery().label("account")
    return declare(model, account=account)


@found_as("{account}", "object `111122223333`, query `111122223333 `")
def account_with_blanks(session: Session) -> Any:
    model = make_model(account=mapped_column(sa.Text))
    event.listen(model, "load", lambda item, _: item.__dict__.update(account=item.account.strip()))
    fill(session, model, {"id": 1, "account": f"{ACCOUNT} "})
    return declare(model, account=model.account)


@found_as("{account}", "compares texts byte by byte, got bpchar", POSTGRESQL)
def account_of_padded_type(session: Session) -> Any:
    model = make_model(account=mapped_column(sa.String(12)))
    run(session, "CREATE TABLE document (id integer PRIMARY KEY, owner text, account char(14))")
    return declare(model, account=model.account)


# --- columns of another type in the database ---------------------------------------------------------------------


@found_as("docs:Owner", "compares texts byte by byte, got citext", POSTGRESQL)
def column_without_letter_case(session: Session) -> Any:
    model = make_model()
    run(session, "CREATE EXTENSION citext", "CREATE TABLE document (id integer PRIMARY KEY, owner citext)")
    return declare(model, keys={"docs:Owner": model.owner})


@found_as("docs:Owner", "got a nondeterministic collation", POSTGRESQL)
def nondeterministic_collation(session: Session) -> Any:
    model = make_model()
    run(
        session,
        "CREATE COLLATION no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        "CREATE TABLE document (id integer PRIMARY KEY, owner text COLLATE no_case)",
    )
    return declare(model, keys={"docs:Owner": sa.func.coalesce(model.owner, "none", type_=sa.Text)})


@found_as("docs:Created", "stores a datetime, got timestamp", POSTGRESQL)
def time_without_zone(session: Session) -> Any:
    model = make_model(created=mapped_column(sa.DateTime(timezone=True)))
    run(session, "CREATE TABLE document (id integer PRIMARY KEY, owner text, created timestamp)")
    return declare(model, keys={"docs:Created": model.created})


@found_as("docs:Created", "query `2026-01-01 00:00:00+00:00`, which it can't compare", SQLITE)
def time_in_another_form(session: Session) -> Any:
    model = make_model(created=mapped_column(sa.DateTime))
    fill(session, model, {"id": 1, "created": datetime(2026, 1, 1)})  # noqa: DTZ001  SQLAlchemy stores it so
    run(session, "UPDATE document SET created = '2026-01-01 00:00:00+00:00'")
    return declare(model, keys={"docs:Created": model.created})


@found_as("docs:Size", "stores an integer, got TEXT", SQLITE)
def numbers_as_text(session: Session) -> Any:
    model = make_model(size=mapped_column(sa.Integer))
    run(session, "CREATE TABLE document (id INTEGER PRIMARY KEY, owner TEXT, size TEXT)")
    return declare(model, keys={"docs:Size": model.size})


@found_as("docs:Owner", "stores text, got STRING", SQLITE)
def text_as_numbers(session: Session) -> Any:
    model = make_model()
    run(session, "CREATE TABLE document (id INTEGER PRIMARY KEY, owner STRING)")
    return declare(model, keys={"docs:Owner": model.owner})


@found_as("docs:Price", "stores a floating-point number, got float4", POSTGRESQL)
def number_of_four_bytes(session: Session) -> Any:
    model = make_model(price=mapped_column(sa.Float))
    run(session, "CREATE TABLE document (id integer PRIMARY KEY, owner text, price real)")
    return declare(model, keys={"docs:Price": model.price})


@found_as("row", "can't be loaded ('draft' is not among the defined enum values")
def enumeration_with_other_names(session: Session) -> Any:
    stage = enum.StrEnum("Stage", {"DRAFT": "draft"})
    model = make_model(stage=mapped_column(sa.Enum(stage, native_enum=False)))
    fill(session, model, {"id": 1, "stage": stage.DRAFT})
    run(session, "UPDATE document SET stage = 'draft'")
    return declare(model, keys={"docs:Stage": model.stage})


@found_as("docs:Owner", "a column that is NOT NULL, got one that may be NULL")
def never_absent_but_nullable(session: Session) -> Any:
    model = make_model()
    fill(session, model, {"id": 1, "owner": None})
    return declare(model, keys={"docs:Owner": model.owner}, absent={"docs:Owner": "never"})


@found_as("{slug}", "a column that is NOT NULL, got one that may be NULL", POSTGRESQL)
def parameter_nullable_in_the_database(session: Session) -> Any:
    model = make_model(slug=mapped_column(sa.Text, nullable=False))
    run(session, "CREATE TABLE document (id integer PRIMARY KEY, owner text, slug text)")
    return declare(model, "document/{slug}")


@found_as("{id}", "INTEGER PRIMARY KEY, got INT", SQLITE)
def key_that_is_no_row_number(session: Session) -> Any:
    model = make_model()
    run(session, "CREATE TABLE document (id INT PRIMARY KEY, owner TEXT)")
    return declare(model)


@found_as("docs:Owner", "expected the column `owner` in `document`, got none")
def missing_column(session: Session) -> Any:
    model = make_model()
    run(session, "CREATE TABLE document (id integer PRIMARY KEY)")
    return declare(model, keys={"docs:Owner": model.owner})


@found_as("ARN", "expected one row for `arn:aws:docs:us-east-1:111122223333:document/ann`, got 2 rows")
def parameter_that_is_not_unique(session: Session) -> Any:
    model = make_model()
    fill(session, model, {"id": 1, "owner": "ann"}, {"id": 2, "owner": "ann"}, {"id": 3, "owner": None})
    return declare(model, "document/{owner}")


@found_as("database", "division by zero", POSTGRESQL)
def expression_that_fails(session: Session) -> Any:
    model = make_model(size=mapped_column(sa.Integer))
    fill(session, model, {"id": 1, "size": 0})
    return declare(model, keys={"docs:Share": 100 // model.size})


# --- tags --------------------------------------------------------------------------------------------------------


def make_tagged(*, with_condition: bool = False) -> tuple[Any, Any, TagRows]:
    """Return a model, a model of its tags, and their declaration. `with_condition`: a relationship to some of them."""
    model = make_model()
    columns = {
        "id": mapped_column(sa.Integer, primary_key=True),
        "document_id": mapped_column(sa.ForeignKey("document.id")),
        "key": mapped_column(sa.Text),
        "value": mapped_column(sa.Text),
        "is_deleted": mapped_column(sa.Boolean, default=False),
        "__table_args__": (sa.UniqueConstraint("document_id", "key"),),
    }
    tag: Any = type("Tag", (model.__base__,), {"__module__": __name__, "__tablename__": "tag", **columns})
    is_tag = (model.id == tag.document_id) & tag.is_deleted.is_(False)
    model.tags = relationship(tag, primaryjoin=is_tag, viewonly=True) if with_condition else relationship(tag)
    return model, tag, TagRows(tag, owner=tag.document_id, key=tag.key, value=tag.value)


@found_as("aws:ResourceTag/team", "object no value, query `red`")
def criteria_of_the_session(session: Session) -> Any:
    model, tag, tags = make_tagged()
    fill(session, model, {"id": 1}, {"id": 2})
    others = {"document_id": 2, "key": "team", "value": "blue", "is_deleted": False}
    fill(session, tag, others, {"document_id": 1, "key": "Team", "value": "red", "is_deleted": True})

    def leave_out_deleted(state: Any) -> None:
        if not state.is_column_load:
            state.statement = state.statement.options(with_loader_criteria(tag, tag.is_deleted.is_(False)))

    event.listen(session, "do_orm_execute", leave_out_deleted)

    return declare(model, tags=tags)


@found_as("tags", "a unique constraint on `document_id` and `key`, got none in the database")
def tags_without_constraint(session: Session) -> Any:
    model, _, tags = make_tagged()
    run(
        session,
        "CREATE TABLE document (id integer PRIMARY KEY, owner text)",
        "CREATE TABLE tag (id integer PRIMARY KEY, document_id integer, key text, value text, is_deleted boolean)",
        "CREATE UNIQUE INDEX some_tags ON tag (document_id, key) WHERE value <> ''",
        "CREATE UNIQUE INDEX folded_tags ON tag (document_id, lower(key))",
        "CREATE UNIQUE INDEX values_of_tags ON tag (document_id, key, value)",
    )
    return declare(model, tags=tags)


@found_as("tags", "an object of strings, query JSON of the type")
def tags_encoded_twice(session: Session) -> Any:
    model = make_model(tags=mapped_column(sa.JSON))
    fill(session, model, {"id": 1, "tags": '{"team": "red"}'})
    return declare(model, tags=model.tags)


@found_as("tags", "a column of the type jsonb, got json", POSTGRESQL)
def tags_of_another_json_type(session: Session) -> Any:
    model = make_model(tags=mapped_column(JSONB))
    run(session, "CREATE TABLE document (id integer PRIMARY KEY, owner text, tags json)")
    return declare(model, tags=model.tags)
