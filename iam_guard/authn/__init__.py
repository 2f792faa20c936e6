"""Authentication: `credential_verifier` verifies credentials without store or clock."""
