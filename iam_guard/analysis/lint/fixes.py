"""Fixes of faults that were verified.

A fix is offered if the fixed text can be read, the fault is gone, and no other fault of its level or above is new.
Whether access stays the same is proved with `analysis/checks`: the Allow statements of both texts allow the same
requests, and the Deny statements deny the same ones. So the proof holds together with all other policies, too. A fix
of a fault without effect on access (a suggestion, a redundancy) must have the proof.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.checks.policy_checks import check_equivalent
from iam_guard.analysis.lint.edits import Edit, apply_edits
from iam_guard.analysis.lint.examination import Examination, Examiner
from iam_guard.analysis.lint.fix_candidates import PROPOSALS, Faulty, candidates
from iam_guard.analysis.lint.lint_codes import SEVERITIES, level_of_code
from iam_guard.analysis.lint.locations import json_tree_of
from iam_guard.errors import IamGuardError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.fault import Fault
from iam_guard.policy.grammar import quoted
from iam_guard.policy.json_tree import JsonText, Number, Value

MAX_CHARACTERS = 32_768
"""Maximum length of a policy that is fixed."""
MAX_WORK = 40 * 10_240
"""Maximum number of characters that one policy's candidates have together: each is examined."""
_WITH_PRINCIPALS = frozenset({PolicyType.RESOURCE, PolicyType.TRUST, PolicyType.RCP, PolicyType.VPC_ENDPOINT})
_MUST_KEEP_ACCESS = frozenset({"MISSING_VERSION", "UNIQUE_SIDS_RECOMMENDED", "INVALID_CONDITION_DATA_TYPE"})
"""Codes above the level of suggestions whose fix has no effect on access."""


@dataclass(frozen=True, slots=True)
class Fix:
    """Edits that fix a fault. `keeps_access`: it is proved that the same requests are allowed and denied."""

    description: str
    edits: tuple[Edit, ...]
    keeps_access: bool


@dataclass(slots=True)
class Fixer:
    """Finds the fixes of one policy as it is written."""

    examiner: Examiner
    text: str
    type: PolicyType
    resource_type: str | None = None
    found: Examination = field(init=False)
    """The faults of the policy."""
    _left: int = MAX_WORK

    def __post_init__(self) -> None:
        self.found = self.examiner.examine(self.text, self.type, self.resource_type)

    def fix(self, fault: Fault) -> Fix | None:
        """Return a verified fix; None if there is none, or if the policy is too long or has too many faults."""
        if fault.code not in PROPOSALS or len(self.text) > MAX_CHARACTERS:
            return None
        tree = json_tree_of(self.text)
        if tree is None:
            return None
        faulty = Faulty(fault, tree, self.examiner.references)
        must_keep = level_of_code(fault.code) == "SUGGESTION" or fault.code in _MUST_KEEP_ACCESS
        for edits in candidates(faulty):
            self._left -= len(self.text)
            if self._left < 0:
                return None
            fixed = apply_edits(self.text, edits)
            if self._is_better(fault, fixed):
                keeps_access = self.found.subject is not None and has_same_access(tree, fixed, self.type)
                if keeps_access or not must_keep:
                    description = " and ".join(_description(self.text, edit) for edit in edits)
                    return Fix(description, tuple(edits), keeps_access)
        return None

    def _is_better(self, fault: Fault, fixed: str) -> bool:
        """Return whether the fixed text has the fault once less, and no new one of its level or above."""
        now = self.examiner.examine(fixed, self.type, self.resource_type)
        if now.subject is None:
            return False
        least = SEVERITIES.index(level_of_code(fault.code))
        before, after = Counter(old.code for old in self.found.faults), Counter(new.code for new in now.faults)
        new = [code for code in after if after[code] > before[code]]
        if self.found.subject is None:  # only its first fault was known
            return fault.code not in after
        return after[fault.code] < before[fault.code] and all(
            SEVERITIES.index(level_of_code(code)) < least for code in new
        )


def _description(text: str, edit: Edit) -> str:
    old, new = (quoted(" ".join(part.split()).rstrip(",")) for part in (text[edit.start : edit.end], edit.text))
    if edit.start == edit.end:
        return f"add {new}"
    return f"replace {old} by {new}" if edit.text else f"remove {old}"


def has_same_access(tree: JsonText, fixed: str, type: PolicyType) -> bool:
    """Return whether two texts are proved to allow and to deny the same requests, each by itself."""
    other = json_tree_of(fixed)
    if other is None:
        return False
    has_principals = type in _WITH_PRINCIPALS
    judged = PolicyType.RESOURCE if has_principals else PolicyType.IDENTITY
    for effect in ("Allow", "Deny"):
        old, new = (_only(document.root, effect, has_principals=has_principals) for document in (tree, other))
        if old == new:
            continue
        if old is None or new is None:
            return False
        try:
            if check_equivalent(old, new, judged).verdict is not CheckVerdict.PASS:
                return False
        except IamGuardError:
            return False
    return True


def _only(root: Value, effect: str, *, has_principals: bool) -> dict[str, Any] | None:
    """Return a policy with the statements of one effect; Denies limit an Allow of everything. None for no object."""
    members = _plain(root)
    if not isinstance(members, dict):
        return None
    statements = members.get("Statement")
    listed = statements if isinstance(statements, list) else [statements]
    kept = [statement for statement in listed if isinstance(statement, dict) and statement.get("Effect") == effect]
    if effect == "Deny":
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        kept.append({**everything, "Principal": "*"} if has_principals else everything)
    kept = [{name: value for name, value in statement.items() if name != "Sid"} for statement in kept]
    return {"Version": members.get("Version", "2008-10-17"), "Statement": kept}


def _plain(value: Value) -> Any:
    match value:
        case Number(text):
            return text
        case list():
            return [_plain(element) for element in value]
        case dict():
            return {name: _plain(member) for name, member in value.items()}
    return value
