"""AutoAttack's own signs that its verdict may be unreliable, as data. Knows no torch.

The package logs them; the kinds are named after what it suspects (its flags_doc.md).
"""

SQUARE_DROP = 0.002  # share of samples; the package's own threshold

KINDS = {  # a kind: words of the package's message
    "randomised": "randomized defense",
    "probabilities": "probability distribution",
    "zero_gradients": "zero gradient",
    "dynamic": "dynamic defense",
    "classes": "target classes",
    "square": "Square Attack has decreased",
}
OTHER = "other"
MEANING = {  # a kind: what it says of the network, for people
    "randomised": "its output changes from one forward pass to the next",
    "probabilities": "it gives probabilities instead of logits",
    "zero_gradients": "some samples have a zero gradient",
    "dynamic": "it optimises while it predicts",
    "classes": "more target classes than it has",
    "square": "the black-box Square attack breaks samples that all gradients left standing",
    OTHER: "see metrics.json",
}

Flag = dict[str, str]  # kind and message


def flag(message: str) -> Flag:
    """A message of the package with its kind."""
    kinds = [kind for kind, words in KINDS.items() if words in message]
    return {"kind": kinds[0] if kinds else OTHER, "message": message}


def square_flag(robust_after: dict[str, float]) -> list[Flag]:
    """The package's check of Square, which needs the whole cascade: has it lowered the robust
    share below what all other attacks left?

    Args:
        robust_after: share of samples still robust by attack, in the order they ran, and before
            them under ``clean``. As in the package, nothing runs after none is left.
    """
    shares: dict[str, float] = {}
    for name, share in robust_after.items():
        shares[name] = share
        if not share:
            break
    if "square" not in shares or len(shares) <= 2:
        return []
    others = min(share for name, share in shares.items() if name != "square")
    if shares["square"] >= others - SQUARE_DROP:  # rounded as in the package: ties are real
        return []
    drop = 100 * (others - shares["square"])
    message = f"{KINDS['square']} the robust accuracy by {drop:.2f} points"
    return [{"kind": "square", "message": message}]
