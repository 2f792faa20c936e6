"""Authentication. The core verifies credentials without store or clock (`credential_verifier`)."""
