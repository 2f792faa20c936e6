"""Resources of declared types by their ARN, for questions that have only that: front ends, `iam-guard why`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import select
from sqlalchemy.orm import Session

from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.model.request import Resource


class MappedResources:
    """A loader for `open_guard(resources=…)`: loads the row that an ARN names, and returns its resource.

    `sessions` opens a session, as `sessionmaker(engine)` does. A row that does not exist has no keys and no tags.
    """

    def __init__(
        self, sessions: Callable[[], AbstractContextManager[Session]], *resource_types: ResourceMapping
    ) -> None:
        self._sessions = sessions
        self._resource_types = resource_types

    def __call__(self, arn: str) -> Resource | None:
        """Return the resource of an ARN; None if no declared type has it, or no row is it."""
        for resource_type in self._resource_types:
            if not resource_type.can_be(arn):
                continue
            with self._sessions() as session:
                columns = resource_type.columns(session.get_bind().dialect.name, resource_type.table)
                condition = columns.condition(columns.simplified(resource_type.named(arn)))
                for item in session.scalars(select(resource_type.model).where(condition)):
                    resource = resource_type.resource_of(item)
                    if resource.arn == arn:
                        return resource
        return None
