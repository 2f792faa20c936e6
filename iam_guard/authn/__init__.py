"""Who is asking: credentials read and verified, pure of store and clock. Enter by `verify`; `api_key` makes keys."""
