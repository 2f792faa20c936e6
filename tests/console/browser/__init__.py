"""The pages in a real Chromium: a package, so that one serves all modules, and ends before the tests of others."""
