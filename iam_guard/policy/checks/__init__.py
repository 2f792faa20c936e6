"""What can be found in a document: one function a rule, from a `Reading` to its Faults."""
