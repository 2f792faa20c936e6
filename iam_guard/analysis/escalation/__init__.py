"""Privilege escalation: which principal of a store can become another one, or an administrator."""
