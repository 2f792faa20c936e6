"""The linter's own rules: what needs the references, and what compares parts of a policy. One module a theme."""
