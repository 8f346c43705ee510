def positive(rng, n):
    """Return a random positive-definite matrix (n, n)."""
    root = rng.normal(size=(n, n))
    return root @ root.T
