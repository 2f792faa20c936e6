"""People who sign in with a browser: passwords, second factors, sessions."""
