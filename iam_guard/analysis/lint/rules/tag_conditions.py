"""Rules about `aws:ResourceTag` where resources have no tags: the condition is never met (rules AA-24, AA-25)."""

from __future__ import annotations

from collections.abc import Iterator

from iam_guard.analysis.lint.rules.key_relations import requires_value
from iam_guard.analysis.lint.subject import Subject
from iam_guard.policy.document import Effect
from iam_guard.policy.fault import Fault, ParsedCondition, conditions
from iam_guard.policy.grammar import quoted

_TAG = "aws:resourcetag/"
_EFFECTS = {Effect.ALLOW: ("ALLOW", "allowed"), Effect.DENY: ("DENY", "denied")}


def service_without_tags(subject: Subject) -> Iterator[Fault]:
    """Report a tag of the resource, for actions of services that have no tagged resource."""
    for tested in _tags(subject):
        actions = tested.statement.actions or ()
        prefixes = dict.fromkeys(action.partition(":")[0].lower() for action in actions)
        without = [prefix for prefix in prefixes if _is_without_tags(subject, prefix)]
        if without:
            effect, done = _EFFECTS[tested.statement.effect]
            names = ", ".join(quoted(prefix) for prefix in without)
            message = f"the resources of {names} have no tags, so their actions are not {done}"
            yield Fault(f"{effect}_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE", message, tested.path, name=True)


def negated_action_with_tag(subject: Subject) -> Iterator[Fault]:
    """Report a tag of the resource together with `NotAction`, which includes actions without tagged resources."""
    for tested in _tags(subject):
        if tested.statement.not_actions is not None:
            effect, done = _EFFECTS[tested.statement.effect]
            code = f"{effect}_NOTACTION_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE"
            message = f"actions whose resources have no tags are not {done}, and `NotAction` includes them"
            yield Fault(code, message, tested.path, name=True)


def _tags(subject: Subject) -> Iterator[ParsedCondition]:
    for tested in conditions(subject.document):
        if tested.test.key.lower().startswith(_TAG) and requires_value(tested):
            yield tested


def _is_without_tags(subject: Subject, prefix: str) -> bool:
    service = subject.references.services.get(prefix)
    if service is None or any(action.open_keys or action.open_resources for action in service.actions):
        return False
    keys = [key for action in service.actions for key in service.keys_of(action)]
    keys += [key for type in service.resource_types for key in type.condition_keys]
    return not any(key.lower().startswith(_TAG) for key in keys)
