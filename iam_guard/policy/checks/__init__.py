"""The checks of a policy document: one function per rule, from a `Reading` to Faults."""
