"""Pages in the browser. `sign_in_pages` has those that people sign in with; it needs the extra `console`."""
