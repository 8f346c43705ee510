"""Ensembles against known posteriors."""

import numpy as np
import pytest
import torch

import msat
from msat.errors import ComputationError, InputError
from msat.langevin.samplers import langevin
from msat.network import Network
from msat.observables.functions import across_target, centred_alignment
from msat.observables.registry import COMPARED, of_outputs
from msat.stages.training import find_device
from msat.tables.compare import normal_score
from tests.conftest import Z_LIMIT


def _z(dataset, name, expected):
    at = dataset.isel(chi=0)
    return (at[name].to_numpy() - expected) / at[f"{name}_error"].to_numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ensemble_agrees_with_the_exact_posterior(small_task, small_network, dtype):
    """A small generic network, all measured quantities."""
    trained = msat.train(small_task, small_network, seed=1, dtype=dtype, steps=12_000, chains=24, step_safety=0.3)
    exact = msat.solve(small_task, small_network, levels=["exact"]).isel(chi=0, level=0)
    y = small_task.y_train
    assert np.all(np.abs(_z(trained, "mean_train", exact["mean_train"].to_numpy())) < Z_LIMIT)
    assert np.all(np.abs(_z(trained, "mean_train_draws", exact["mean_train"].to_numpy())) < Z_LIMIT)
    assert np.all(np.abs(_z(trained, "mean_test", exact["mean_test"].to_numpy())) < Z_LIMIT)
    for name, matrix in (
        ("variance_along_target", exact["covariance_train"]),
        ("hidden_kernel_along_target", exact["hidden_kernel"]),
    ):
        assert abs(_z(trained, name, y @ matrix.to_numpy() @ y / (y @ y))) < Z_LIMIT
    assert abs(_z(trained, "readout_norm", float(exact["readout_norm"]))) < Z_LIMIT
    at = trained.isel(chi=0)
    # matrices without their own error bars: to a few per cent of their scale
    for name in ("covariance_train", "hidden_kernel", "variance_test"):
        expected = exact[name].to_numpy()
        np.testing.assert_allclose(at[name].to_numpy(), expected, atol=0.1 * np.abs(expected).max())
    np.testing.assert_allclose(at["chain_mean_train"].mean("chain"), at["mean_train"], atol=1e-12)
    assert at["y_train"].to_numpy() == pytest.approx(y)


@pytest.mark.parametrize("chi", [0.5, 8.0])
def test_every_observable_agrees_with_exact(small_task, small_network, chi):
    """Each scalar within 5 normal standard errors (a false alarm in 1.7 million), all together by chi-squared.

    The bound on the sum is that of 16 independent values at 1e-6; they are correlated, so it is wide. The spectra
    are held to 5 standard errors by Student's t as well.
    """
    network = small_network.at(chi)
    trained = msat.train(small_task, network, seed=3, steps=6000, chains=24)
    theory = msat.solve(small_task, network, levels=["exact"])
    row = msat.compare(theory, trained).iloc[0]
    dof = trained.sizes["chain"] - 1
    compared = of_outputs(COMPARED, several=False)
    scores = {o.name: normal_score(row[f"{o.name}_z"], dof if o.jackknifed else np.inf) for o in compared}
    assert max(map(abs, scores.values())) < Z_LIMIT, scores
    assert sum(score**2 for score in scores.values()) < 60, scores
    for name in ("covariance_spectrum", "hidden_kernel_spectrum"):
        z = _z(trained, name, theory[name].isel(chi=0, level=0).to_numpy())
        assert max(abs(normal_score(value, dof)) for value in z) < Z_LIMIT, name
    for name in ("evidence_slope", "evidence_bend"):
        assert abs(_z(trained, name, float(theory[name].isel(chi=0, level=0)))) < Z_LIMIT, name


@pytest.mark.slow
def test_euler_maruyama_agrees_in_the_mean_at_a_small_step(small_task, small_network):
    """Its bias is of first order in the step, so the step is far smaller."""
    trained = msat.train(
        small_task, small_network, seed=1, integrator="euler_maruyama", steps=8000, chains=24, step_safety=0.02
    )
    exact = msat.solve(small_task, small_network, levels=["exact"]).isel(chi=0, level=0)
    assert np.all(np.abs(_z(trained, "mean_train", exact["mean_train"].to_numpy())) < Z_LIMIT)
    assert np.all(np.abs(_z(trained, "mean_test", exact["mean_test"].to_numpy())) < Z_LIMIT)


@pytest.mark.slow
def test_papers_setting(paper_network):
    """Two data sets at three scales: errors, z-scores, and chi-squared pooled over all of them."""
    chi2 = dof = variance = 0.0
    for seed in (0, 1):
        task = msat.tasks.ising(n_train=80, n_test=1000, dimension=200, delta_p=0.1, seed=seed)
        for chi in (1.0, 10.0, 100.0):
            network = paper_network.at(chi)
            trained = msat.train(task, network, seed=seed, target_error=0.003)
            levels = ["exact", "laplace", "rescaling"]
            table = msat.compare(msat.solve(task, network, levels=levels), trained).set_index("level")
            row = table.loc["exact"]
            assert row["train_discrepancy_error"] < 0.003 * row["train_discrepancy_langevin"]
            assert abs(row["train_discrepancy_z"]) < 4
            for name in ("test_discrepancy", "variance_along_target", "hidden_kernel_along_target"):
                assert abs(row[f"{name}_z"]) < Z_LIMIT, (chi, name)
            # the directional fluctuation: laplace has it, rescaling misses a tenth and more of it
            assert abs(table.loc["laplace", "variance_along_target_z"]) < Z_LIMIT
            assert table.loc["rescaling", "variance_along_target"] < 0.9 * row["variance_along_target_langevin"]
            assert trained.attrs["target_met"]
            assert trained.attrs["burn_in_converged"]
            chi2, dof, variance = chi2 + row["chi2"], dof + row["chi2_dof"], variance + row["chi2_variance"]
    assert 0.7 < chi2 / dof < 1.4
    assert abs(chi2 - dof) < Z_LIMIT * np.sqrt(variance)


def test_tiny_labels_are_not_a_divergence(small_task):
    task = msat.Task(small_task.x_train, 1e-8 * small_task.y_train, small_task.x_test, small_task.y_test)
    assert np.isfinite(msat.train(task, Network(width=10), steps=64)["mean_train"]).all()


def test_a_sample_of_zeros_tests_nothing():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 5))
    x[3] = 0
    task = msat.Task(x, rng.normal(size=8), x[:2], np.ones(2))
    network = Network(width=10)
    row = msat.compare(msat.solve(task, network, levels=["exact"]), msat.train(task, network, steps=2000)).iloc[0]
    assert row["chi2_dof"] == 7
    assert abs(row["chi2"] - 7) < Z_LIMIT * np.sqrt(row["chi2_variance"]) + 2


def test_burn_in_is_bounded(small_task, small_network):
    trained = msat.train(small_task, small_network, step_size=1e-6, steps=64, max_burn_in=100)
    assert int(trained["burn_in_steps"][0]) <= 100


def test_prior_only_run_returns_both_layers_prior_variances(small_task):
    """With noise of variance 1e12 the data say nothing."""
    network = Network(width=20, g_w=0.6, g_v=0.8, kappa_0=1e12)
    trained = msat.train(small_task, network, seed=2, steps=6000)
    assert abs(_z(trained, "first_layer_variance", 1.0)) < Z_LIMIT
    # averaged over the readout it has no noise left here; the draws have
    assert float(trained["readout_norm"][0]) == pytest.approx(network.g, rel=1e-9)
    assert abs(_z(trained, "readout_norm_gap", 0.0)) < Z_LIMIT
    assert np.all(np.abs(_z(trained, "mean_train_draws", 0.0)) < Z_LIMIT)
    np.testing.assert_allclose(trained["mean_train"], 0.0, atol=1e-9)
    C = network.g_v / small_task.dimension * small_task.x_train @ small_task.x_train.T
    at = trained.isel(chi=0)
    np.testing.assert_allclose(at["hidden_kernel"], C, atol=0.05 * C.max())
    np.testing.assert_allclose(at["covariance_train"], network.g * C, atol=0.08 * network.g * C.max())
    for name, expected in (
        ("hidden_kernel_gain", 1.0),
        ("weight_alignment", 1.0),
        ("variance_across_target", network.g * across_target(small_task.y_train, C)),
        ("hidden_kernel_alignment", centred_alignment(small_task.y_train, C)),
    ):
        score = normal_score(float(_z(trained, name, expected)), trained.sizes["chain"] - 1)
        assert abs(score) < Z_LIMIT, name


def test_the_seed_fixes_the_result_and_only_the_seed(small_task, small_network):
    runs = [msat.train(small_task, small_network, seed=seed, steps=256) for seed in (0, 0, 1)]
    assert runs[0]["mean_train"].equals(runs[1]["mean_train"])
    assert not runs[0]["mean_train"].equals(runs[2]["mean_train"])


def test_noise_differs_between_scales(small_task, small_network):
    """Jobs of one seed at two scales must not share their noise."""
    potential_seed = [
        msat.train(small_task, small_network.at(chi), seed=0, steps=64, step_size=1e-3) for chi in (1.0, 1.0 + 1e-9)
    ]
    first, second = (item["mean_train"].to_numpy() for item in potential_seed)
    assert np.abs(first - second).max() > 1e-3


def test_steps_are_kept_and_target_not_met_is_said(small_task, small_network):
    trained = msat.train(small_task, small_network, seed=0, steps=1000)
    assert 1000 <= int(trained["steps"][0]) <= 1010
    short = msat.train(small_task, small_network, seed=0, max_steps=300, target_error=1e-6)
    assert not short.attrs["target_met"]
    assert short.attrs["relative_error"] > 1e-6


@pytest.mark.parametrize(("sampler", "step_size"), [("langevin", 10.0), ("underdamped", 10.0), ("hmc", 10.0)])
def test_a_step_too_large_is_bad_input_at_the_start(small_task, small_network, sampler, step_size):
    """The message names the largest allowed; a step just below it is taken."""
    options = {"sampler": sampler, "steps": 64, "max_burn_in": 64, "chains": 4}
    with pytest.raises(InputError, match=r"^step_size = 10: must be at most (\S+), the ") as refusal:
        msat.train(small_task, small_network, step_size=step_size, **options)
    largest = float(str(refusal.value).split()[7].rstrip(","))
    with pytest.raises(InputError, match="must be at most"):
        msat.train(small_task, small_network, step_size=1.01 * largest, **options)
    allowed = msat.train(small_task, small_network, step_size=0.3 * largest, **options)
    assert allowed["step_size"].item() == pytest.approx(0.3 * largest)


def test_a_step_that_burn_in_finds_too_large_is_a_failed_computation(small_task, small_network, monkeypatch):
    limits = iter([1.0, 1e-3])
    monkeypatch.setattr(langevin, "largest_step_size", lambda curvature: next(limits))
    with pytest.raises(ComputationError, match=r"^step_size = 0.05 is above 0.001, .* burn-in has met: .* use at most"):
        msat.train(small_task, small_network, step_size=0.05)


def test_divergence_is_an_error_and_not_nan(small_task, small_network, monkeypatch):
    monkeypatch.setattr(langevin, "largest_step_size", lambda curvature: np.inf)
    with pytest.raises(ComputationError, match="diverged in burn_in after"):
        msat.train(small_task, small_network, step_size=10.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chains": 1}, "chains = 1: input should be greater than or equal to 2"),
        ({"integrator": "leapfrog"}, "integrator = 'leapfrog': input should be 'leimkuhler_matthews' or"),
        ({"dtype": "float16"}, "dtype = 'float16'"),
        ({"nonsense": 1}, "nonsense: unknown key; known are sampler, chains"),
        ({"target_error": -1.0}, "target_error = -1.0"),
        ({"steps": 10}, "steps = 10"),
    ],
)
def test_settings_are_checked(small_task, small_network, settings, message):
    with pytest.raises(InputError, match=message):
        msat.train(small_task, small_network, **settings)


def test_devices():
    assert find_device("cpu").type == "cpu"
    if torch.cuda.is_available():
        assert find_device("auto").type == find_device("cuda").type == "cuda"
    else:
        assert find_device("auto").type == "cpu"
        with pytest.raises(InputError, match="no CUDA device"):
            find_device("cuda")


@pytest.mark.parametrize("chains", [2, 3])
def test_burn_in_of_few_chains_ends_by_rhat(small_task, small_network, chains):
    """Effective draws are counted of four chains and more: without them burn-in would go on to its maximum."""
    trained = msat.train(small_task, small_network, chains=chains, steps=64, seed=1)
    assert trained.attrs["burn_in_converged"] == 1
    assert trained["burn_in_steps"].item() < 10_000
    assert trained.attrs["mixed"] == 0  # which their noise does not tell


def test_the_curvature_of_hmc_with_a_given_step_is_that_of_its_end(small_task, small_network):
    trained = msat.train(small_task, small_network, sampler="hmc", step_size=0.05, chains=4, steps=64, seed=1)
    assert trained["curvature"].item() > 1
