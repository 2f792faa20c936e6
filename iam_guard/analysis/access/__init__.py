"""Access queries: which principals of a store can perform an action, and which actions a principal can perform."""
