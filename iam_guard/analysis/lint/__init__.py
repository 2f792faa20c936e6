"""`iam-guard lint`: findings about policies in files, checked with service authorization references."""
