"""Threat models, adversaries, AutoAttack, published protocols, minimum-norm attacks."""
