"""Checks of policies: a proof, or a request that shows the opposite (section K.3 of the rules).

Other packages import `policy_checks` (the checks), `check_results`, `dead_statements`, and for questions of their
own `comparison`, `statement_forms`, `spaces`, `boxes`, `callers` and `caller_keys`.
"""
