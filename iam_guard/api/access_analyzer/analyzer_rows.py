"""Analyzers in the store: their ARNs, how calls find them, and the resources that calls are authorized on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from iam_guard.api.access_analyzer.analyzer_errors import AnalyzerResourceNotFound
from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.operation import Keys, Target
from iam_guard.model.arn import account_of
from iam_guard.model.context import Given
from iam_guard.model.request import Resource
from iam_guard.store.database.records import Records, Row
from iam_guard.store.schema import analyzers

ANALYZER: Final = "Analyzer"

Find: TypeAlias = Callable[[ServiceCall, Input], "Row | None"]


def analyzer_arn(call: ServiceCall, name: str) -> str:
    return f"{_prefix(call)}{name}"


def _prefix(call: ServiceCall) -> str:
    return f"arn:{call.partition}:access-analyzer:{call.server.region}:{call.account}:analyzer/"


def find_analyzer(records: Records, account: str, name: str) -> Row | None:
    return records.one(analyzers, account=account, name=name)


def name_in_arn(arn: str) -> str:
    """Return the name in the ARN of an analyzer or of an archive rule; empty for any other ARN."""
    kind, _, rest = arn.rpartition(":")[2].partition("/")
    return rest.partition("/")[0] if kind == "analyzer" else ""


def _by_name(call: ServiceCall, parameters: Input) -> Row | None:
    return find_analyzer(call.records, call.account, parameters["analyzerName"])


def _by_arn(member: str) -> Find:
    def find(call: ServiceCall, parameters: Input) -> Row | None:
        arn: str = parameters[member]
        if not arn.startswith(_prefix(call)):
            return None
        return find_analyzer(call.records, call.account, arn.removeprefix(_prefix(call)))

    return find


def load_named(call: ServiceCall, parameters: Input) -> Row:
    """Find the analyzer of the call by name. Raises `AnalyzerResourceNotFound`."""
    return _loaded(_by_name(call, parameters), parameters["analyzerName"])


def load_by_arn(call: ServiceCall, parameters: Input, member: str = "analyzerArn") -> Row:
    """Find the analyzer of the call by its ARN, in the caller's account. Raises `AnalyzerResourceNotFound`."""
    return _loaded(_by_arn(member)(call, parameters), parameters[member])


def _loaded(row: Row | None, id: str) -> Row:
    if row is None:
        raise AnalyzerResourceNotFound(f"The analyzer {id} does not exist.", id=id, type=ANALYZER)
    return row


def _at_arn(member: str) -> Target:
    """Return the resource with an ARN of the call; it belongs to the account in the ARN, not to the caller's."""
    find = _by_arn(member)

    def target(call: ServiceCall, parameters: Input) -> Resource:
        row, arn = find(call, parameters), parameters[member]
        return Resource(arn, account=account_of(arn) or call.account, tags={} if row is None else row["tags"])

    return target


def _archive_rule(analyzer: Target) -> Target:
    def target(call: ServiceCall, parameters: Input) -> Resource:
        resource = analyzer(call, parameters)
        return Resource(f"{resource.arn}/archive-rule/{parameters['ruleName']}", account=resource.account)

    return target


def named_analyzer(call: ServiceCall, parameters: Input) -> Resource:
    """Return the analyzer that the call names, or would create."""
    return call.resource(analyzer_arn(call, parameters["analyzerName"]), _by_name(call, parameters))


ANALYZER_AT_ARN: Final[Target] = _at_arn("analyzerArn")
TAGGED_RESOURCE: Final[Target] = _at_arn("resourceArn")
NAMED_RULE: Final[Target] = _archive_rule(named_analyzer)
RULE_AT_ARN: Final[Target] = _archive_rule(ANALYZER_AT_ARN)


def analyzer_tag_keys(call: ServiceCall, parameters: Input) -> Keys:
    """Return `aws:RequestTag/*` and `aws:TagKeys` for a call with tags or tag keys."""
    tags: Mapping[str, Any] = parameters.get("tags", {})
    unique_tags = {key.lower(): (key, value) for key, value in tags.items()}.values()  # the handler rejects others
    keys: dict[str, Given] = {f"aws:RequestTag/{key}": value for key, value in unique_tags}
    names = [*tags, *parameters.get("tagKeys", ())]
    return {**keys, "aws:TagKeys": names} if names else keys
