"""Wrong translators: mistakes that a translator of policies to SQL could have, each of which must be detected.

These are mistakes of the partial evaluation; `translator_mutants_sql` has those of SQL.
"""

from __future__ import annotations

from iam_guard.evaluation.partial import open_conditions, text_matching
from iam_guard.evaluation.partial.open_decision import OpenDecision
from iam_guard.evaluation.partial.open_request import OpenRequest
from iam_guard.filters import statement_filter
from iam_guard.filters.texts import AccountAttribute

from .translator_mutants_sql import OF_COLUMNS, OF_TAGS, OF_TEXTS
from .translator_mutation import POSTGRESQL, SQLITE, Mutant

OF_DECISIONS = [
    Mutant(
        "Deny dropped", OpenDecision.formula, "for layer in policies.layers_with_denies)", "for layer in ())", seed=3
    ),
    Mutant(
        "Deny of the first policy type only",
        OpenDecision.formula,
        "for layer in policies.layers_with_denies)",
        "for layer in policies.layers_with_denies[:1])",
        seed=4,
    ),
    Mutant(
        "Deny applies where one condition is met",
        OpenDecision._evaluate,
        "any_of(parts) if compiled.denies else all_of(parts)",
        "all_of(parts)",
        seed=3,
    ),
    Mutant(
        "boundary dropped",
        OpenDecision._limits,
        "True if policies.boundary is None else self._allows(policies.boundary, action)",
        "True",
        seed=166,
    ),
    Mutant(
        "session policy dropped",
        OpenDecision._session,
        "return self._allows(policies.session, action)",
        "return True",
        seed=141,
    ),
    Mutant(
        "one SCP level dropped",
        OpenDecision._each_level,
        "for level in levels)",
        "for level in (levels[1:] or levels))",
        seed=98,
    ),
    Mutant("one level is enough", OpenDecision._each_level, "return all_of(self", "return any_of(self", seed=60),
    Mutant("RCP dropped", OpenDecision.formula, "self._each_level(policies.rcps, action)", "True", seed=66),
    Mutant("rows of other accounts as own ones", OpenDecision._granted, "if not is_own:", "if False:", seed=3),
    Mutant(
        "resource policy grants nothing by itself",
        OpenDecision._granted,
        "any_of((direct, limited, delegated))",
        "delegated",
        seed=6,
    ),
    Mutant(
        "NotResource as Resource",
        OpenDecision._resources,
        "wanted == (statement.resources is not None)",
        "wanted",
        seed=3,
    ),
    Mutant(
        "one of two tags wins that differ by letter case",
        OpenDecision.formula,
        "all_of((*map(Readable, self._read), allowed))",
        "allowed",
        seed=387,
    ),
    Mutant("unmet known condition skipped", OpenDecision._elements, "if not is_met:", "if False:", seed=81),
    Mutant(
        "conditions on another caller",
        OpenDecision._are_met,
        "return all(condition(self.request.request) for condition in known)",
        "return True",
        seed=236,
        callers=4,
    ),
    Mutant(
        "value given by hand for other callers",
        OpenRequest.is_usual,
        "return self._open_keys.isdisjoint(given) and",
        "return",
        seed=767,
        callers=4,
    ),
    Mutant(
        "account column ignored",
        statement_filter.list_formula,
        "all_of((OneOf(ACCOUNT.name, own, wanted=True), of_owner(principal.account)))",
        "of_owner(principal.account)",
        seed=3,
    ),
    Mutant(
        "row without an account listed",
        statement_filter.list_formula,
        "all_of((Readable(ACCOUNT.name), elsewhere))",
        "all_of((elsewhere,))",
        seed=14,
    ),
    Mutant(
        "row without an id listed",
        statement_filter.list_formula,
        "readable = columns.readable_parameters()",
        "readable = []",
        seed=34,
    ),
    Mutant("account of any characters", AccountAttribute.readable, '"[0-9]" * 12', '"*"', seed=14, dialects=SQLITE),
    Mutant(
        "account of any characters at the end",
        AccountAttribute.readable,
        '"^[0-9]{12}$"',
        '"^[0-9]{11}"',
        seed=14,
        dialects=POSTGRESQL,
    ),
]

OF_CONDITIONS = [
    Mutant(
        "IfExists ignored",
        open_conditions._of_open_key,
        "(name.if_exists or row.negated) == wanted",
        "row.negated == wanted",
        seed=16,
    ),
    Mutant(
        "negated operator needs a value",
        open_conditions._of_open_key,
        "(name.if_exists or row.negated) == wanted",
        "name.if_exists == wanted",
        seed=3,
    ),
    Mutant("absent key always passes", open_conditions._of_open_key, "== wanted  # C-5, C-30", "or wanted", seed=3),
    Mutant(
        "ForAllValues needs a value",
        open_conditions._of_open_key,
        "any_of((blank, tested)) if wanted",
        "tested if wanted",
        seed=14,
    ),
    Mutant(
        "ForAnyValue of an empty text",
        open_conditions._of_open_key,
        "all_of((filled, tested))))  # C-37",
        "tested))  # C-37",
        table=("StringNotEquals", "docs:Class", "ForAnyValue:{}"),
    ),
    Mutant(
        "ForAnyValue…IfExists without IfExists",
        open_conditions._of_open_key,
        "absent if name.if_exists else False",
        "False",
        table=("StringEquals", "docs:Class", "ForAnyValue:{}IfExists"),
    ),
    Mutant("Null inverted", open_conditions._null, "when_present == wanted", "when_null == wanted", seed=6),
    Mutant("Null of an empty text", open_conditions._null, "or_blank=True", "or_blank=False", seed=18),
    Mutant(
        "default of a variable beside its value",
        open_conditions._guarded,
        "return all_of((*(Presence(name, wanted=False) for name in operand.absent), result))",
        "return result",
        table=("StringEquals", "docs:Class"),
    ),
    Mutant(
        "default without regard to the variable's value",
        open_conditions.filled_operands,
        "absent | {piece.key}",
        "absent",
        table=("StringEquals", "docs:Class"),
    ),
    Mutant(
        "default of a variable dropped",
        open_conditions.filled_operands,
        "if piece.default is not None:",
        "if False:",
        table=("StringEquals", "docs:Class"),
    ),
    Mutant(
        "variable without a value is the empty text",
        open_conditions.filled_operands,
        "request.variable(piece)",
        'request.variable(piece) or ""',
        seed=18,
    ),
    Mutant(
        "invalid operand of a negated operator skipped",
        open_conditions._open_test,
        "row.negated and not row.variables and any(",
        "row.negated and not row.variables and all(",
        table=("NumericNotEquals", "docs:Size"),
    ),
    Mutant(
        "text of another form passes a negated operator",
        open_conditions._of_tested_key,
        "if row.negated and tested.operator not in _UNPARSED:",
        "if False:",
        seed=175,
    ),
    Mutant(
        "empty list of values passes no operator",
        open_conditions.condition_formula,
        "is_met = row.negated and",
        "is_met = False and",
        seed=72,
    ),
    Mutant(
        "wildcard crosses the fields of an ARN",
        text_matching._step,
        'if char != ":" or unit not in _IN_FIELD:',
        "if True:",
        table=("Resource", ""),
    ),
    Mutant(
        "only the first split of a path",
        text_matching._equal,
        "range(len(value) + 1)",
        "range(len(value) + 1)[: str(value).find(str(rest[0])) + 1]",
        table=("Resource", ""),
    ),
    Mutant(
        "account in a resource ignored", text_matching._after, "pattern == (Wildcard.ONE,) * _DIGITS", "True", seed=17
    ),
    Mutant(
        "NOT of alternatives is one of them",
        text_matching._not,
        "return all_of(map(_not, formula.parts))",
        "return any_of(map(_not, formula.parts))",
        seed=16,
    ),
]

GROUPS = {
    "decisions": OF_DECISIONS,
    "conditions": OF_CONDITIONS,
    "texts": OF_TEXTS,
    "columns": OF_COLUMNS,
    "tags": OF_TAGS,
}
"""All mistakes, by what they are about."""
