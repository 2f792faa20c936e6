"""What the principals of a whole store can do, through all policy types at once: invariants, and comparisons of stores.

Other packages import `store_access` (a store read once), `effective_access`, `invariant_file`, `invariant_checks`,
`store_comparison` and `store_findings`.
"""
