"""Observables are functions of what a training wrote, applied again whenever it is read."""

import numpy as np
import pytest
import xarray as xr

import msat
from msat.langevin.packing import full
from msat.observables.functions import effective_rank
from msat.observables.registry import OBSERVABLES
from msat.stages import measured
from msat.store import load_dataset, save_dataset

SETTINGS = {"steps": 1000, "chains": 5, "seed": 2}


@pytest.fixture(scope="module")
def trained(small_task, small_network):
    return msat.train(small_task, small_network, **SETTINGS)


def test_reading_applies_the_observables_again(trained, tmp_path):
    """What a file says of an observable does not matter: a changed value is put right, a missing one is there."""
    path = tmp_path / "langevin.nc"
    wrong = trained.drop_vars(["hidden_kernel_gain", "hidden_kernel_gain_error"])
    wrong["train_discrepancy"] = wrong["train_discrepancy"] + 1.0
    save_dataset(path, wrong)
    again = measured.load(path)
    for name in ("train_discrepancy", "hidden_kernel_gain", "hidden_kernel_gain_error", "evidence_error_correlation"):
        xr.testing.assert_allclose(again[name], trained[name], rtol=1e-12)
    assert set(again.data_vars) == set(trained.data_vars)


def test_every_variable_says_what_it_is(trained):
    for name, variable in trained.data_vars.items():
        assert variable.attrs["long_name"], name
        assert variable.attrs["units"], name
    assert trained["hidden_kernel_gain_error"].attrs["long_name"].endswith("jackknife over chains")
    assert trained["train_discrepancy"].attrs["units"] == "label^2"


def test_every_declared_observable_is_there_with_its_error(trained):
    for observable in OBSERVABLES:
        # this task has no teacher, and the network one output and one hidden layer
        if not {"degree", "layer"} & set(observable.dimensions) and not observable.several:
            assert {observable.name, f"{observable.name}_error"} <= set(trained.data_vars)


def test_moments_of_the_chains_give_the_means(trained):
    at = trained.isel(chi=0)
    for moment, mean in (("moment_f_train", "mean_train"), ("moment_f_test", "mean_test")):
        np.testing.assert_allclose(at[moment].mean("chain"), at[mean], atol=1e-13)
    kernels = full(at["moment_hidden_kernel"].to_numpy())
    np.testing.assert_array_equal(kernels, kernels.transpose(0, 2, 1))
    np.testing.assert_allclose(kernels.mean(axis=0), at["hidden_kernel"], atol=1e-13)


def test_the_jackknife_of_an_observable_by_hand(trained):
    at = trained.isel(chi=0)
    kernels = full(at["moment_hidden_kernel"].to_numpy())
    count = len(kernels)
    parts = np.array([effective_rank(np.delete(kernels, j, axis=0).mean(axis=0)) for j in range(count)])
    whole = effective_rank(kernels.mean(axis=0))
    assert float(at["hidden_kernel_effective_rank"]) == pytest.approx(count * whole - (count - 1) * parts.mean())
    error = np.sqrt((count - 1) / count * np.sum((parts - parts.mean()) ** 2))
    assert float(at["hidden_kernel_effective_rank_error"]) == pytest.approx(error)


def test_matrices_that_are_too_large_are_left_out_and_what_follows_from_them_stays(
    small_task, small_network, trained, monkeypatch, tmp_path
):
    monkeypatch.setattr(measured, "LARGEST_MOMENTS", 100)
    lean = msat.train(small_task, small_network, **SETTINGS)
    assert lean.attrs["chain_moments"] == 0
    assert "moment_hidden_kernel" not in lean
    assert "moment_f_train" in lean
    save_dataset(tmp_path / "lean.nc", lean)
    again = measured.load(tmp_path / "lean.nc")
    for name in ("hidden_kernel_gain", "hidden_kernel_gain_error", "train_discrepancy", "weight_alignment"):
        xr.testing.assert_allclose(again[name], trained[name], rtol=1e-12)


def test_results_without_series_are_taken_as_they_are(trained, tmp_path):
    old = trained.drop_vars([name for name in trained.data_vars if str(name).startswith(("series_", "moment_"))])
    del old.attrs["chain_moments"]
    save_dataset(tmp_path / "old.nc", old)
    assert measured.load(tmp_path / "old.nc").identical(load_dataset(tmp_path / "old.nc", "langevin"))
