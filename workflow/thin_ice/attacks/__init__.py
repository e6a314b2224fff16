"""Threat models, training adversaries, the AutoAttack adapter, published protocols, minimum-norm attacks."""
