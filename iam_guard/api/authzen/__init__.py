"""AuthZEN: OpenID's Authorization API 1.0, for programs that ask for decisions over HTTP. Imported: `app`."""
