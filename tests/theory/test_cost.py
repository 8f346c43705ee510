from msat.theory.cost import theory_mb


def test_memory_holds_two_matrices_a_level_and_scale():
    """P = 2000 with six levels at seven scales was measured at 3.07 GiB (tests/theory/test_large.py)."""
    assert 3.0e3 < theory_mb(2000, 1000, levels=6, scales=7) < 4.0e3
    one, two = (theory_mb(1000, 0, levels=2, scales=scales) for scales in (1, 2))
    assert two - one == 32  # two levels with two matrices of 8 MB


def test_values_and_growth():
    """By the formula as it first stood in the rules."""
    assert theory_mb(2000, 1000, levels=6, scales=7) == 3408
    assert theory_mb(80, 1000, levels=5, scales=9) == 407
    sizes = {"n_train": 500, "n_test": 1000, "levels": 3, "scales": 5}
    for name in sizes:
        assert theory_mb(**(sizes | {name: 4 * sizes[name]})) > theory_mb(**sizes)
