"""What we remember: accounts, principals, credentials, policies (rules J, M). Enter by `protocol`."""
