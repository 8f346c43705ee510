"""What --matrices keeps, in a result and for an experiment of a config."""

import numpy as np
import pytest

import msat
from msat.errors import InputError
from msat.observables.matrices import read_matrix
from msat.stages import theory as stage
from msat.store import load_dataset
from msat.tasks.storage import save_task
from msat.theory import kept as module
from msat.theory.kept import Kept, kept, parsed, with_drawn
from msat.theory.settings import TheorySettings

LEVELS, SCALES = ["nngp", "laplace", "exact"], [1.0, 9.33333, 100.0]
NAMES = ["1", "9.33333", "100"]


@pytest.mark.parametrize(
    ("choice", "levels", "scales"),
    [
        (None, LEVELS, SCALES),
        (["all"], LEVELS, SCALES),
        (["none"], [], []),
        (["exact", "nngp"], ["nngp", "exact"], SCALES),
        ([100.0], LEVELS, [100.0]),
        (["laplace", 28 / 3, 1.0], ["laplace"], SCALES[:2]),  # to six digits
    ],
)
def test_levels_and_scales(choice, levels, scales):
    assert kept(choice, LEVELS, SCALES, 100) == Kept(levels, scales)
    if choice is not None:
        assert kept(choice, LEVELS, SCALES, 100_000) == Kept(levels, scales)


def test_by_default_none_beyond_a_total_size():
    fits = int((module.LARGEST / (2 * 8 * 9)) ** 0.5)
    assert kept(None, LEVELS, SCALES, fits).pairs == 9
    assert kept(None, LEVELS, SCALES, fits + 1).pairs == 0


def test_what_is_not_solved_is_refused():
    with pytest.raises(InputError, match=r"^matrices = one_loop: not a level that is solved; these are nngp, laplace"):
        kept(["one_loop"], LEVELS, SCALES, 10)
    with pytest.raises(InputError, match=r"^matrices = 2: not a scale that is solved; these are 1, 9.33333, 100$"):
        kept([2.0], LEVELS, SCALES, 10)


def test_options_are_levels_scales_or_a_word():
    assert parsed(["laplace", "100", 2]) == ["laplace", 100.0, 2.0]
    with pytest.raises(ValueError, match=r"^lapalce: must be a scale, above 0 and finite, or one of nngp"):
        parsed(["lapalce"])
    with pytest.raises(ValueError, match="stand alone"):
        parsed(["all", "laplace"])


LARGE = 10_000


@pytest.mark.parametrize(
    ("choice", "n_train", "drawn", "expected"),
    [
        (None, 80, ["nngp"], None),
        (None, LARGE, [], ["none"]),
        (None, LARGE, ["nngp", "laplace"], ["nngp", "laplace", "1", "100"]),
        (["none"], 80, [], ["none"]),
        (["none"], 80, ["nngp"], ["nngp", "1", "100"]),
        (["all"], LARGE, ["nngp"], [*LEVELS, *NAMES]),
        (["exact", 9.33333], 80, [], ["exact", "9.33333"]),
        (["exact", 9.33333], 80, ["nngp"], ["nngp", "exact", *NAMES]),
        (["one_loop"], 80, [], ["none"]),  # of another experiment
        (["one_loop", "exact", 7.0, 1.0], 80, [], ["exact", "1"]),
        (["one_loop"], 80, ["nngp"], ["nngp", "1", "100"]),
    ],
)
def test_an_experiment_keeps_what_it_has_and_what_its_figures_draw(choice, n_train, drawn, expected):
    found = with_drawn(choice, LEVELS, NAMES, n_train, drawn)
    assert found == expected
    if found is not None:  # it is an option of msat solve
        assert kept(parsed(found), LEVELS, [float(name) for name in NAMES], n_train).pairs >= len(drawn)


@pytest.fixture(scope="module")
def solved(small_task, small_network):
    def solve(matrices):
        return msat.solve(small_task, small_network, [1, 8], ["nngp", "exact"], matrices=matrices)

    return solve


def test_results_hold_what_was_asked_for_and_it_is_read_the_same(solved):
    everything, some, nothing = solved(None), solved(["exact", 8]), solved(["none"])
    assert [result.attrs["matrices"] for result in (everything, some, nothing)] == ["all", "some", "none"]
    for name in ("covariance_train", "hidden_kernel"):
        assert everything[name].dims == ("level", "chi", "train", "train_")
        assert some[name].dims == ("matrix_level", "matrix_chi", "train", "train_")
        assert some[name].attrs == everything[name].attrs
        assert name not in nothing
        expected = everything[name].sel(level="exact", chi=8).to_numpy()
        np.testing.assert_array_equal(some[name].sel(matrix_level="exact", matrix_chi=8), expected)
        for result in (everything, some):
            np.testing.assert_array_equal(read_matrix(result, name, "exact", 8.00001), expected)
        for result, level, chi in (
            (some, "nngp", 8),
            (some, "exact", 1),
            (nothing, "exact", 8),
            (everything, "exact", 2),
        ):
            message = (
                rf"^{name} of level {level} at chi = {chi}: not in the theory result; --matrices {level},{chi} keeps"
            )
            with pytest.raises(InputError, match=message):
                read_matrix(result, name, level, chi)
    left = [name for name in everything if name not in ("covariance_train", "hidden_kernel")]
    for result in (some, nothing):
        assert (
            result[left]
            .drop_vars(["matrix_level", "matrix_chi"], errors="ignore")
            .identical(everything[left].assign_attrs(result.attrs))
        )


def test_a_file_without_matrices_for_their_size_says_so(small_task, small_network, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 1000)
    data, out = tmp_path / "data.npz", tmp_path / "theory.nc"
    save_task(data, small_task)
    (line,) = stage.run(data, out, small_network, TheorySettings(chi=[1.0, 8.0], levels=["exact"]))
    assert line.startswith(
        "covariance_train and hidden_kernel of all levels and scales would take 0.0 GB and are left out"
    )
    assert "--matrices" in line
    assert "hidden_kernel" not in load_dataset(out, "theory")
    chosen = TheorySettings(chi=[1.0, 8.0], levels=["exact"], matrices=[8.0])
    assert stage.run(data, out, small_network, chosen) == []
    assert read_matrix(load_dataset(out, "theory"), "hidden_kernel", "exact", 8).shape == (6, 6)
    assert stage.run(data, out, small_network, TheorySettings(levels=["exact"], matrices=["none"])) == []
