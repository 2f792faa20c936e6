"""The declarative seed: a YAML or JSON file that defines accounts, principals and policies."""

from iam_guard.store.seed.apply import Changes, apply_seed
from iam_guard.store.seed.seed_reader import load_seed, load_seed_text
from iam_guard.store.seed.seed_values import Seed

__all__ = ["Changes", "Seed", "apply_seed", "load_seed", "load_seed_text"]
