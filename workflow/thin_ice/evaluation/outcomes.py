"""What an attack can do to a sample, and how a table says it."""

SKIPPED = "skipped"  # misclassified, or broken by an earlier attack
WITHSTOOD = "withstood"
BROKEN = "broken"
NAMES = (SKIPPED, WITHSTOOD, BROKEN)  # in a checkpoint an outcome is stored as its index
OUTCOME = "autoattack_"  # prefix of the columns that hold one attack's outcomes

BY_NOBODY = "none"  # in broken_by: robust
BY_CLEAN = "clean"  # in broken_by: misclassified without any attack

TRAINED = "trained"  # origin of a network that the study trained; others say what they are


def column_of(attack: str) -> str:
    """``autoattack_apgd_ce`` for ``apgd-ce``."""
    return OUTCOME + attack.replace("-", "_")
