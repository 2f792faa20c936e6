"""What the audit trail knows of a principal: what it did, the least policy for that, what it never used, when last.

`actor` reads whose activity is asked for, `observations` what one record says, `aggregation` adds up.
`resource_patterns` and `policy_generation` make a policy of it, `unused_access` compares it with what is granted,
`last_used_feed` tells the store when things were used last. Nothing here decides a request.
"""

from iam_guard.analysis.activity.actor import Actor
from iam_guard.analysis.activity.aggregation import ActionActivity, Activity, aggregate_activity
from iam_guard.analysis.activity.last_used_feed import feed_uses
from iam_guard.analysis.activity.policy_generation import Generalising, GeneratedPolicy, generate_policy
from iam_guard.analysis.activity.resource_patterns import ArnTemplates
from iam_guard.analysis.activity.unused_access import UnusedAccess, unused_access

__all__ = [
    "ActionActivity",
    "Activity",
    "Actor",
    "ArnTemplates",
    "Generalising",
    "GeneratedPolicy",
    "UnusedAccess",
    "aggregate_activity",
    "feed_uses",
    "generate_policy",
    "unused_access",
]
