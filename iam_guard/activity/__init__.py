"""What the audit trail knows of a principal: what it did, the least policy for that, what it never used, when last.

`actor` reads whose activity is asked for, `observed` what one record says, `gathered` adds up. `templates` and
`generation` make a policy of it, `unused` compares it with what is granted, `feed` tells the store when things were
used last. Nothing here decides a request.
"""

from iam_guard.activity.actor import Actor
from iam_guard.activity.feed import feed_uses
from iam_guard.activity.gathered import ActionActivity, Activity, gather_activity
from iam_guard.activity.generation import Generalising, GeneratedPolicy, generate_policy
from iam_guard.activity.templates import ArnTemplates
from iam_guard.activity.unused import UnusedAccess, unused_access

__all__ = [
    "ActionActivity",
    "Activity",
    "Actor",
    "ArnTemplates",
    "Generalising",
    "GeneratedPolicy",
    "UnusedAccess",
    "feed_uses",
    "gather_activity",
    "generate_policy",
    "unused_access",
]
