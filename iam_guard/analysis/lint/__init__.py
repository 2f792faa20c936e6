"""What can be said about policies in files, with the service authorization references at hand: `iam-guard lint`."""
