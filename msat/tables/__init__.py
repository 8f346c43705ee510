"""Tidy tables of theory, training, and one against the other."""
