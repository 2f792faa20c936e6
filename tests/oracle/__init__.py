"""The oracle: a slow, obvious evaluator of AWS IAM policies, written from the rule book alone."""
