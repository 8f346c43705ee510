import pytest

from msat.theory.cost import pairs, theory_mb


@pytest.mark.parametrize(
    ("sizes", "held", "measured"),
    [
        ((80, 1000, 120), 42, 201),
        ((500, 1000, 750), 42, 399),
        ((1000, 1000, 1500), 0, 318),
        ((2000, 1000, 3000), 0, 568),
        ((2000, 1000, 3000), 2, 664),
        ((2000, 1000, 3000), 7, 984),
    ],
)
def test_memory_is_at_least_what_was_measured(sizes, held, measured):
    """Peaks in MB of ``msat solve``, linear networks, six levels at seven scales, written to a file."""
    assert measured < theory_mb(*sizes, 1, held) < 2.5 * measured + 100


@pytest.mark.parametrize(
    ("sizes", "held", "measured"),
    [((200, 0, 200, 10), 1, 1197), ((80, 1000, 200, 10), 18, 663), ((60, 500, 200, 3), 6, 424)],
)
def test_memory_covers_the_exact_level_of_several_outputs(sizes, held, measured):
    """Peaks in MB of `msat.solve` and of its file; without the scrambles the first is 450 MB short."""
    assert measured < theory_mb(*sizes, held, levels=["laplace", "exact"]) < 1.5 * measured
    assert theory_mb(*sizes, held, levels=["laplace"]) == theory_mb(*sizes, held)
    one = *sizes[:3], 1
    assert theory_mb(*one, held, levels=["exact"]) == theory_mb(*one, held)


@pytest.mark.parametrize(
    ("sizes", "levels", "held", "measured"),
    [((200, 1000, 50), ["laplace", "one_loop"], 12, 530), ((400, 1000, 50), ["laplace"], 6, 1109)],
)
def test_memory_covers_levels_that_draw_neurons(sizes, levels, held, measured):
    """Peaks in MB of `msat.solve`, erf, three scales; without them the second is 670 MB short."""
    assert measured < theory_mb(*sizes, 1, held, levels=levels, activation="erf") < 1.7 * measured
    by_kernel = theory_mb(*sizes, 1, held, levels=["nngp"], activation="erf")
    assert by_kernel == theory_mb(*sizes, 1, held)


def test_two_matrices_a_pair():
    one, two = (theory_mb(1000, 0, 10, 1, held) for held in (1, 2))
    assert two - one == 16  # of 8 MB each


def test_pairs_are_those_kept_and_for_sampled_networks_all_beside():
    levels, scales = ["nngp", "laplace"], ["1", "10", "100"]
    assert pairs("linear", None, levels, scales, 80) == 6
    assert pairs("linear", None, levels, scales, 4000) == 0
    assert pairs("linear", ["laplace", "1", "100"], levels, scales, 4000) == 2
    assert pairs("erf", ["none"], levels, scales, 80) == 6
    assert pairs("erf", None, levels, scales, 80) == 12
