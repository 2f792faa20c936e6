"""The linter's own rules, which need the references or compare parts of a policy. One module per topic."""
