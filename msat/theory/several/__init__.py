"""Several outputs: the levels of `msat.theory` for labels (P, m), m > 1 (docs/theory.md, section 12)."""
