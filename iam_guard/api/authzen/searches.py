"""Answer AuthZEN searches: the subjects, resources or actions that an evaluation would allow.

Candidates come in a fixed order, from the store, from the application's tables and from its catalogue. Subjects and
actions are decided as evaluations are, and a page ends after `MAX_DECISIONS` or `MAX_SECONDS`. Resources are selected
by the filter that `Guard.filter` adds, and decided again by their ARN, so that every result is one that an evaluation
allows. The caller needs a permission of its own for each kind of search.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from iam_guard.api.authzen.entities import Document, EntityReader, Evaluation
from iam_guard.api.authzen.evaluations import AuthzenCaller, decided, require_accounts
from iam_guard.api.authzen.search_pages import Position, SearchPage, page_document, read_page
from iam_guard.errors import InvalidInput, NotFilterable
from iam_guard.filters.mapped_resources import MappedResources
from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.guard.guard import Guard
from iam_guard.store.database.records import row_arn
from iam_guard.store.identifiers import root_arn
from iam_guard.store.schema import accounts, identities

SEARCH_SUBJECTS: Final = "iam-guard:SearchSubjects"
SEARCH_RESOURCES: Final = "iam-guard:SearchResources"
SEARCH_ACTIONS: Final = "iam-guard:SearchActions"
MAX_DECISIONS: Final = 1000
MAX_SECONDS: Final = 4.0
_MIN_CHUNK: Final = 10
_MAX_CHUNK: Final = 100


class SearchApi:
    """Answers the searches of one guard."""

    def __init__(self, guard: Guard, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._guard = guard
        self._reader = EntityReader(guard)
        self._monotonic = monotonic

    @property
    def finds_resources(self) -> bool:
        """Whether the guard loads resources from tables, so that a search and an evaluation agree."""
        return isinstance(self._guard.resources, MappedResources) and self._guard.resources.has_pages

    # --- subjects ------------------------------------------------------------------------------------------------

    def subjects(self, caller: AuthzenCaller, document: Document) -> dict[str, Any]:
        """Find users, roles or the root user of one account: the resource's, or the caller's if the ARN has none."""
        kind, action = self._reader.subject_type(document), self._reader.action(document)
        resource, named = self._reader.resource(document, action.partition(":")[0])
        context = self._reader.context(document)
        account = named or caller.principal.account
        if account is None:
            raise InvalidInput("expected the ARN of a resource with an account", place="resource")
        caller.require(account)
        page = read_page(caller, "subject", document)

        def candidates(after: Position | None, limit: int) -> list[tuple[Position, Evaluation, dict[str, str]]]:
            found = []
            for position, arn in self._arns(account, kind, after, limit):
                entity = {"type": kind, "id": arn}
                subject = self._reader.subject({"subject": entity})
                found.append((position, Evaluation(subject, action, resource, named, context), entity))
            return found

        return self._page_of_decisions(caller, page, candidates)

    def _arns(self, account: str, kind: str, after: Position | None, limit: int) -> list[tuple[Position, str]]:
        partition = self._guard.settings.partition
        with self._guard.store.read_transaction() as records:
            if kind == "root":
                exists = after is None and records.one(accounts, id=account) is not None
                return [("root", root_arn(partition, account))] if exists else []
            start = None if after is None else [str(after)]
            rows = records.page(identities, order=("folded",), after=start, limit=limit, account=account, kind=kind)
            return [(row["folded"], row_arn(partition, row)) for row in rows]

    # --- actions -------------------------------------------------------------------------------------------------

    def actions(self, caller: AuthzenCaller, document: Document) -> dict[str, Any]:
        """Find the actions of the service in the resource's ARN that are declared for resources of its type."""
        subject = self._reader.subject(document)
        resource, named = self._reader.resource(document)
        context = self._reader.context(document)
        require_accounts(caller, Evaluation(subject, "", resource, named, context))
        service = resource.split(":", 3)[2] if resource != "*" else ""
        reference = self._reader.reference(service)
        if reference is None:
            raise InvalidInput("expected the ARN of a resource of the application's services", place="resource")
        page = read_page(caller, "action", document)
        kind = self._reader.resource_type(document)
        names = [
            f"{service}:{entry.name}"
            for entry in reference.actions
            if not reference.resource_types or entry.open_resources or kind in {kept.name for kept in entry.resources}
        ]
        names.sort()

        def candidates(after: Position | None, limit: int) -> list[tuple[Position, Evaluation, dict[str, str]]]:
            rest = [name for name in names if after is None or name > str(after)]
            return [
                (name, Evaluation(subject, name, resource, named, context), {"name": name}) for name in rest[:limit]
            ]

        return self._page_of_decisions(caller, page, candidates)

    def _page_of_decisions(
        self,
        caller: AuthzenCaller,
        page: SearchPage,
        candidates: Callable[[Position | None, int], Sequence[tuple[Position, Evaluation, dict[str, str]]]],
    ) -> dict[str, Any]:
        """Decide candidates until the page is full, or has cost enough; those that can't be decided are left out."""
        deadline = self._monotonic() + MAX_SECONDS
        results: list[dict[str, str]] = []
        after, tried = page.after, 0
        while len(results) < page.limit:
            size = max(_MIN_CHUNK, min(_MAX_CHUNK, page.limit - len(results)))
            chunk = candidates(after, size)
            answers = decided(caller, [evaluation for _, evaluation, _ in chunk])
            for (position, _, entity), answer in zip(chunk, answers, strict=True):
                if len(results) == page.limit:
                    break
                after = position
                if answer.allowed:
                    results.append(entity)
            else:
                if len(chunk) < size:
                    return page_document(caller, page, results, None)
            tried += len(chunk)
            if tried >= MAX_DECISIONS or self._monotonic() > deadline:
                break
        return page_document(caller, page, results, after)

    # --- resources -----------------------------------------------------------------------------------------------

    def resources(self, caller: AuthzenCaller, document: Document) -> dict[str, Any]:
        """Find the resources of a declared type, in the subject's account.

        Raises `InvalidInput` for a type without a table, and where a policy can't be translated for it.
        """
        subject, action = self._reader.subject(document), self._reader.action(document)
        kind, context = self._reader.resource_type(document), self._reader.context(document)
        account = str(subject.account)
        caller.require(account)
        mapped = self._guard.resources
        if not isinstance(mapped, MappedResources) or not mapped.has_pages:
            raise InvalidInput("resource search requires the resource loader `MappedResources`", place="resource")
        resource_type = _mapping(mapped.resource_types, action.partition(":")[0], kind)
        page = read_page(caller, "resource", document)
        try:
            rows = mapped.page(
                resource_type,
                lambda statement: self._guard.filter(statement, action, principal=subject, context=context),
                account=account,
                after=page.after,
                limit=page.limit + 1,
            )
        except NotFilterable:
            message = "a policy of the subject can't be translated to a query, so its resources can't be searched"
            raise InvalidInput(message, place="resource") from None
        shown = rows[: page.limit]
        after = shown[-1][0] if len(rows) > page.limit else None
        asked = [Evaluation(subject, action, resource.arn, account, context) for _, resource in shown]
        answers = zip(asked, decided(caller, asked), strict=True)  # an ARN that several rows have denies
        results = [{"type": kind, "id": evaluation.resource} for evaluation, answer in answers if answer.allowed]
        return page_document(caller, page, results, after)


def _mapping(resource_types: Iterable[ResourceMapping], service: str, kind: str) -> ResourceMapping:
    for resource_type in resource_types:
        if (resource_type.service, resource_type.name) == (service, kind):
            return resource_type
    raise InvalidInput("expected a resource type of the action's service that has a table", place="resource")
