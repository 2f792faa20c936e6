"""Lists that show only what the caller may see: policies become a condition of the application's own query."""
