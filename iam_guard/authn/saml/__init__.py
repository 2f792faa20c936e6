"""SAML 2.0. `response` verifies what identity providers send, and `assertion` has the types."""
