"""SAML 2.0. `response` verifies what identity providers send, `assertion` has the types, `metadata` reads metadata."""
