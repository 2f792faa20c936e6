"""Checks of the elements of documents and statements (rules G-4 to G-8, G-12, G-18, G-22 to G-37)."""

from __future__ import annotations

from collections.abc import Iterator

from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import ANY_PRINCIPAL, LATEST, Effect, Statement
from iam_guard.policy.fault import LEGACY_PARSING, Fault, Reading, actions, place, resources
from iam_guard.policy.grammar import (
    OF_OTHER_SERVICES,
    PLAIN_SID,
    PRINCIPALS,
    RESOURCE_IS_OPTIONAL,
    RESOURCES,
    UNSTORABLE,
    WITH_ID,
    WITH_PRINCIPAL,
    WITH_REQUIRED_VERSION,
    WITHOUT_PRINCIPAL,
    WITHOUT_RESOURCE,
    quoted,
)
from iam_guard.policy.json_tree import Path, Value
from iam_guard.policy.quota import size_quota

# --- the document ------------------------------------------------------------------------------------------------


def missing_version(reading: Reading) -> Iterator[Fault]:
    """Report a missing `Version` (G-4)."""
    if reading.document.written_version is None:
        yield Fault("MISSING_VERSION", f"`Version` is missing; `{LATEST}` is the current one", ())


def version_of_managed(reading: Reading) -> Iterator[Fault]:
    """Report an older `Version` in a managed policy (G-18)."""
    if reading.document.version != LATEST:
        message = f"expected `Version` to be `{LATEST}` in a managed policy"
        sentence = "Policy document must be version 2012-10-17 or greater."
        yield Fault("INVALID_VERSION", message, ("Version",), sentence)


def version_of_organization(reading: Reading) -> Iterator[Fault]:
    """Report an older `Version` in an organization policy (G-36, A.3)."""
    document = reading.document
    if document.type in WITH_REQUIRED_VERSION and document.version != LATEST:
        yield Fault("INVALID_VERSION", f"expected `Version` to be `{LATEST}` in a {document.type}", ("Version",))


def unsupported_id(reading: Reading) -> Iterator[Fault]:
    """Report `Id` in a policy type without it (G-6)."""
    document = reading.document
    if document.id is not None and document.type not in WITH_ID:
        message = f"`Id` is not supported in a policy of the type {document.type}"
        yield Fault("INVALID_POLICY_ELEMENT", message, ("Id",), name=True)


def no_statement(reading: Reading) -> Iterator[Fault]:
    """Report a document without statements (G-8)."""
    if not reading.document.statements:
        yield Fault("MISSING_STATEMENT", "expected at least one statement", ("Statement",))


def unstorable_characters(reading: Reading) -> Iterator[Fault]:
    """Report characters that IAM cannot store (G-12)."""
    found = UNSTORABLE.search(reading.document.text)
    if found:
        character = found[0]
        path, is_name = next(_occurrences(reading.source.root, character, ()), ((), False))
        message = f"expected characters up to U+00FF, got U+{ord(character):04X} at offset {found.start()}"
        yield Fault("JSON_SYNTAX_ERROR", message, path, name=is_name)


def _occurrences(value: Value, character: str, path: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the paths of the strings that contain a character, and whether each is a name."""
    match value:
        case str() if character in value:
            yield path, False
        case list():
            for index, element in enumerate(value):
                yield from _occurrences(element, character, (*path, index))
        case dict():
            for name, member in value.items():
                if character in name:
                    yield (*path, name), True
                yield from _occurrences(member, character, (*path, name))


_TOO_LONG = {
    PolicyType.IDENTITY: "POLICY_SIZE_EXCEEDS_IDENTITY_POLICY_QUOTA",
    PolicyType.BOUNDARY: "POLICY_SIZE_EXCEEDS_IDENTITY_POLICY_QUOTA",
    PolicyType.TRUST: "POLICY_SIZE_EXCEEDS_ROLE_TRUST_POLICY_QUOTA",
    PolicyType.SCP: "POLICY_SIZE_EXCEEDS_SCP_QUOTA",
    PolicyType.RCP: "POLICY_SIZE_EXCEEDS_RCP_QUOTA",
}


def too_long(reading: Reading) -> Iterator[Fault]:
    """Report a document over its quota; an identity-based policy has that of a managed one (G-70 to G-72)."""
    document = reading.document
    quota = size_quota(document.type, managed=document.type is PolicyType.IDENTITY)
    code = _TOO_LONG.get(document.type)
    if quota and code and quota.size(document.text) > quota.characters:
        message = f"expected at most {quota.characters} characters, got {quota.size(document.text)}"
        yield Fault(code, message, ())


# --- Sid ---------------------------------------------------------------------------------------------------------


def repeated_sid(reading: Reading) -> Iterator[Fault]:
    """Report a repeated `Sid` (G-25)."""
    code = "UNIQUE_SIDS_RECOMMENDED" if reading.document.type in OF_OTHER_SERVICES else "UNIQUE_SIDS_REQUIRED"
    seen: set[str] = set()
    for statement in reading.document.statements:
        if statement.sid and statement.sid in seen:
            sentence = "Statement IDs (SID) in a single policy must be unique."
            yield Fault(code, f"{quoted(statement.sid)} is repeated", place(statement, "Sid"), sentence)
        seen.add(statement.sid or "")


def repeated_required_sid(reading: Reading) -> Iterator[Fault]:
    """Report a repeated `Sid` where it must be unique (G-25)."""
    return (fault for fault in repeated_sid(reading) if fault.code == "UNIQUE_SIDS_REQUIRED")


def unsupported_sid(reading: Reading) -> Iterator[Fault]:
    """Report a `Sid` with other characters than letters and digits (G-24)."""
    if reading.document.type in OF_OTHER_SERVICES:
        return
    for statement in reading.document.statements:
        if statement.sid is not None and not PLAIN_SID.fullmatch(statement.sid):
            message = f"expected letters and digits, got {quoted(statement.sid)}"
            yield Fault("UNSUPPORTED_SID", message, place(statement, "Sid"))


def empty_sid(reading: Reading) -> Iterator[Fault]:
    """Report an empty `Sid` (G-26)."""
    for statement in reading.document.statements:
        if statement.sid == "":
            yield Fault("EMPTY_SID_VALUE", "`Sid` is empty", place(statement, "Sid"))


# --- which elements a statement has ------------------------------------------------------------------------------


def effect_letter_case(reading: Reading) -> Iterator[Fault]:
    """Report an `Effect` in other letter case (G-19, G-21)."""
    for statement in reading.document.statements:
        written = reading.source.find(place(statement, "Effect"))
        if written != statement.effect:
            message = f"expected `Effect` to be `Allow` or `Deny`, got {quoted(str(written))}"
            yield Fault("INVALID_EFFECT", message, place(statement, "Effect"), LEGACY_PARSING)


def prohibited_principal(reading: Reading) -> Iterator[Fault]:
    """Report a principal in a policy type without principals (G-30)."""
    if reading.document.type not in WITHOUT_PRINCIPAL:
        return
    code = "SCP_SYNTAX_ERROR_PRINCIPAL" if reading.document.type is PolicyType.SCP else "UNSUPPORTED_PRINCIPAL"
    sentence = "Policy document should not specify a principal."
    for statement in reading.document.statements:
        if statement.principals is None and statement.not_principals is None:
            continue
        for element in _present(statement, PRINCIPALS):
            message = f"`{element}` is not supported in a policy of the type {reading.document.type}"
            yield Fault(code, message, place(statement, element), sentence, name=True)


def missing_principal(reading: Reading) -> Iterator[Fault]:
    """Report a missing `Principal` (G-31)."""
    if reading.document.type not in WITH_PRINCIPAL - {PolicyType.RCP}:
        return
    for statement in reading.document.statements:
        if not _present(statement, PRINCIPALS):
            message = "`Principal` is missing; without it the statement matches no caller"
            yield Fault("MISSING_PRINCIPAL", message, place(statement), "Missing required field Principal")


def prohibited_in_trust(reading: Reading) -> Iterator[Fault]:
    """Report elements that a trust policy does not support (G-32)."""
    if reading.document.type not in WITHOUT_RESOURCE:
        return
    for statement in reading.document.statements:
        for element in _present(statement, (*RESOURCES, "NotPrincipal")):
            code = "NOTPRINCIPAL" if element == "NotPrincipal" else "RESOURCE"
            message, sentence = f"`{element}` is not supported in a trust policy", f"Has prohibited field {element}"
            yield Fault(f"ROLE_TRUST_POLICY_SYNTAX_ERROR_{code}", message, place(statement, element), sentence, True)


def allow_with_not_principal(reading: Reading) -> Iterator[Fault]:
    """Report `NotPrincipal` with `Allow` (G-34)."""
    for statement in reading.document.statements:
        if statement.not_principals is not None and statement.effect is Effect.ALLOW:
            message = "`NotPrincipal` is supported with the effect `Deny` only"
            yield Fault("ALLOW_WITH_NOT_PRINCIPAL", message, place(statement, "NotPrincipal"), name=True)


def missing_action(reading: Reading) -> Iterator[Fault]:
    """Report a statement without actions (G-22)."""
    for statement in reading.document.statements:
        if statement.actions is None and statement.not_actions is None:
            message, sentence = "`Action` or `NotAction` is missing", "Policy statement must contain actions."
            yield Fault("MISSING_ACTION", message, place(statement), sentence)


def missing_resource(reading: Reading) -> Iterator[Fault]:
    """Report a missing `Resource` in a policy type that requires it (A.3)."""
    if reading.document.type in RESOURCE_IS_OPTIONAL:
        return
    for statement in reading.document.statements:
        if statement.resources is None and statement.not_resources is None:
            message, sentence = "`Resource` or `NotResource` is missing", "Policy statement must contain resources."
            yield Fault("MISSING_RESOURCE", message, place(statement), sentence)


def _present(statement: Statement, elements: tuple[str, ...]) -> list[str]:
    values = {
        "Principal": statement.principals,
        "NotPrincipal": statement.not_principals,
        "Action": statement.actions,
        "NotAction": statement.not_actions,
        "Resource": statement.resources,
        "NotResource": statement.not_resources,
    }
    return [element for element in elements if values[element] is not None]


# --- empty elements, G-27 ----------------------------------------------------------------------------------------


def empty_action(reading: Reading) -> Iterator[Fault]:
    """Report an empty list of actions (G-27)."""
    for statement in reading.document.statements:
        for element, values in (("Action", statement.actions), ("NotAction", statement.not_actions)):
            if values == ():
                sentence = "Policy statement must contain actions."
                yield Fault("EMPTY_ARRAY_ACTION", f"`{element}` is empty", place(statement, element), sentence)


def empty_resource(reading: Reading) -> Iterator[Fault]:
    """Report an empty list of resources (G-27)."""
    for statement in reading.document.statements:
        for element, values in (("Resource", statement.resources), ("NotResource", statement.not_resources)):
            if values == ():
                sentence = "Policy statement must contain resources."
                yield Fault("EMPTY_ARRAY_RESOURCE", f"`{element}` is empty", place(statement, element), sentence)


def empty_principal(reading: Reading) -> Iterator[Fault]:
    """Report an empty object or list of principals (G-27)."""
    for statement in reading.document.statements:
        for element in _present(statement, PRINCIPALS):
            kinds = _members(reading, place(statement, element))
            if kinds == {}:
                yield Fault("EMPTY_OBJECT_PRINCIPAL", f"`{element}` is empty", place(statement, element))
            for kind, values in (kinds or {}).items():
                if values == []:
                    yield Fault("EMPTY_ARRAY_PRINCIPAL", f"`{kind}` is empty", place(statement, element, kind))


def empty_condition(reading: Reading) -> Iterator[Fault]:
    """Report an empty `Condition` or operator, which does not restrict anything (G-27)."""
    for statement in reading.document.statements:
        operators = _members(reading, place(statement, "Condition"))
        if operators == {}:
            yield Fault("EMPTY_OBJECT_CONDITION", "`Condition` is empty", place(statement, "Condition"))
        for operator, keys in (operators or {}).items():
            if keys == {}:
                message = f"`{operator}` is empty"
                yield Fault("EMPTY_OBJECT_CONDITION", message, place(statement, "Condition", operator))


def _members(reading: Reading, path: Path) -> dict[str, Value] | None:
    value = reading.source.find(path)
    return value if isinstance(value, dict) else None


def repeated_entry(reading: Reading) -> Iterator[Fault]:
    """Report an action or a resource that is repeated in a list; actions are case-insensitive (M-3)."""
    for code, entries in (("REDUNDANT_ACTION", actions), ("REDUNDANT_RESOURCE", resources)):
        seen: set[tuple[int, str, str]] = set()
        for entry in entries(reading.document):
            value = entry.value.lower() if entries is actions else entry.value
            key = (entry.statement.index, entry.element, value)
            if key in seen:
                yield Fault(code, f"{quoted(entry.value)} is repeated", entry.path)
            seen.add(key)


# --- resource control policies, G-37 -----------------------------------------------------------------------------


def rcp_syntax(reading: Reading) -> Iterator[Fault]:
    """Report what a resource control policy does not support, except for the list of services (G-37, E-16)."""
    if reading.document.type is not PolicyType.RCP:
        return
    for statement in reading.document.statements:
        if statement.effect is Effect.ALLOW:
            message = "expected `Effect` to be `Deny` in a resource control policy"
            yield Fault("RCP_SYNTAX_ERROR_ALLOW", message, place(statement, "Effect"))
        if statement.principals != ANY_PRINCIPAL:
            message = 'expected `"Principal": "*"` in a resource control policy'
            yield Fault("RCP_SYNTAX_ERROR_PRINCIPAL", message, place(statement, "Principal"))
        if statement.not_actions is not None:
            message = "`NotAction` is not supported in a resource control policy"
            yield Fault("RCP_SYNTAX_ERROR_NOTACTION", message, place(statement, "NotAction"), name=True)
        for index, action in enumerate(statement.actions or ()):
            prefix = action.partition(":")[0]
            if prefix == "*" or prefix != prefix.lower():
                message = f"expected an action with the lower-case prefix of a service, got {quoted(action)}"
                yield Fault("RCP_SYNTAX_ERROR_ACTION", message, place(statement, "Action", index))
