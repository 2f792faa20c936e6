"""Fixes of faults that were verified.

A fix is offered if the fixed text can be read, the fault is gone, and no other fault of its level or above is new.
Whether access stays the same is proved with `analysis/checks`: the Allow statements of both texts allow the same
requests, and the Deny statements deny the same ones. So the proof holds together with all other policies, too. A fix
of a fault without effect on access (a suggestion, a redundancy) must have the proof.
"""

from __future__ import annotations

import json
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
from iam_guard.policy.document import Document
from iam_guard.policy.fault import Fault
from iam_guard.policy.grammar import WITHOUT_PRINCIPAL, quoted
from iam_guard.policy.parser import parse

MAX_CHARACTERS = 32_768
"""Maximum length of a policy that is fixed."""
MAX_WORK = 40 * 10_240
"""Maximum number of characters that one policy's candidates have together: each is examined."""
_OF_IDENTITIES = frozenset({PolicyType.IDENTITY, PolicyType.BOUNDARY})
"""Types that apply to users and roles. The others are judged as resource-based policies: for callers of all kinds."""
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
                keeps_access = self.found.subject is not None and has_same_access(self.text, fixed, self.type)
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


def has_same_access(text: str, fixed: str, type: PolicyType) -> bool:
    """Return whether two policies are proved to allow the same requests, and to deny the same ones."""
    judged = PolicyType.IDENTITY if type in _OF_IDENTITIES else PolicyType.RESOURCE
    try:
        old, new = parse(text, type), parse(fixed, type)
        return all(
            _is_same(_only(old, effect, judged), _only(new, effect, judged), judged) for effect in ("Allow", "Deny")
        )
    except IamGuardError:
        return False  # refused, or not judged


def _is_same(old: dict[str, Any], new: dict[str, Any], judged: PolicyType) -> bool:
    return old == new or check_equivalent(old, new, judged).verdict is CheckVerdict.PASS


def _only(document: Document, effect: str, judged: PolicyType) -> dict[str, Any]:
    """Return a policy with the statements of one effect; Denies limit an Allow of everything."""
    members = json.loads(document.text, parse_int=str, parse_float=str)
    written = members["Statement"] if isinstance(members["Statement"], list) else [members["Statement"]]
    kept = [statement for statement in written if statement["Effect"] == effect]
    if effect == "Deny":
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        kept.append({**everything, "Principal": "*"} if judged is PolicyType.RESOURCE else everything)
    statements = [{name: value for name, value in statement.items() if name != "Sid"} for statement in kept]
    if judged is PolicyType.RESOURCE and document.type in WITHOUT_PRINCIPAL:
        statements = [{**statement, "Principal": "*"} for statement in statements]
    return {"Version": document.version, "Statement": statements}
