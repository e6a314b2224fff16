"""Sound bounds of a network's logits over a threat model's ball, and what they certify."""
