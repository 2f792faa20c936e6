"""The store of accounts, principals, credentials and policies (rules J, M). Import it through `protocol`."""
