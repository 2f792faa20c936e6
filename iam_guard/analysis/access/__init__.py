"""Who can do something, and what somebody can do: the evaluator asked about everybody in a store."""
