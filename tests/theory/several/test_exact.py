"""The mixture over the Wishart matrix against averages over prior first layers, and its maximum."""

import numpy as np
import pytest

from msat.network import Network
from msat.theory.scale_mixture import ScaleMixture
from msat.theory.several.importance import _height, _local, mode
from msat.theory.several.mixture import MatrixMixture
from msat.theory.several.rescaling import _local as local_of_rescaling
from msat.theory.several.rescaling import most_probable
from tests.conftest import Z_LIMIT
from tests.theory.references import solved as solved_alone
from tests.theory.several.references import error_of, geometry_of_classes, geometry_of_kernel, rotation, solved

pytestmark = pytest.mark.slow

N, P, M = 3, 3, 2
NETWORK = Network(width=N, g_w=0.9, g_v=float(P), kappa_0=0.5, chi=1.5)


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(2)
    factor = rng.normal(size=(P, P))
    C, y = factor @ factor.T / P + 0.2 * np.eye(P), rng.normal(size=(P, M))
    return C, y, solved(geometry_of_kernel(C, y), NETWORK, ["exact"])["exact"]


@pytest.fixture(scope="module")
def by_prior(case):
    """Averages over first layers from the prior, readouts integrated: 20 groups of 20 000."""
    C, y, _ = case
    rng, lower, g, kappa = np.random.default_rng(0), np.linalg.cholesky(C), NETWORK.g, NETWORK.kappa
    groups = []
    for _ in range(20):
        h = rng.normal(size=(20_000, N, P)) @ lower.T
        H = h.transpose(0, 2, 1) @ h / N
        d, U = np.linalg.eigh(g * H)
        d, along = np.maximum(d, 0.0), U.transpose(0, 2, 1) @ y
        weight = np.exp(
            -0.5 * np.sum(np.sum(along**2, axis=2) / (d + kappa), axis=1) - M / 2 * np.log(d + kappa).sum(1)
        )
        shrink = (d / (d + kappa))[:, :, None]
        mean = U @ (shrink * along)
        within = kappa * (U * shrink.transpose(0, 2, 1)) @ U.transpose(0, 2, 1)
        flat = mean.reshape(len(h), -1)
        second = np.einsum("i,ip,iq->pq", weight, flat, flat)
        second += np.kron(np.einsum("i,iab->ab", weight, within), np.eye(M))
        # w_c given h and y: N(A h y_c / kappa, A)
        A = np.linalg.inv(h @ h.transpose(0, 2, 1) / kappa + N / g * np.eye(N))
        w = A @ (h @ y) / kappa
        S = np.einsum("i,inc,ind->cd", weight, w, w) + np.eye(M) * np.einsum("i,inn->", weight, A)
        sums = [
            np.array(weight.sum()),
            np.einsum("i,ia->a", weight, flat),
            second,
            np.einsum("i,iab->ab", weight, H),
            S,
        ]
        groups.append(sums)
    return groups


def _moments(sums):
    weight, mean, second, H, S = sums
    mean = mean / weight
    return mean, second / weight - np.outer(mean, mean), H / weight, S / weight


def test_against_the_prior(case, by_prior):
    _, y, exact = case
    weights = np.array([group[0] for group in by_prior]) / 20_000 * (2 * np.pi) ** (-y.size / 2)
    sampled, spread = np.log(weights.mean()), weights.std(ddof=1) / weights.mean() / np.sqrt(len(weights))
    assert spread < 0.01
    assert abs(exact.log_evidence - sampled) < Z_LIMIT * np.hypot(spread, exact.log_evidence_mc_error)
    whole = _moments([sum(parts) for parts in zip(*by_prior, strict=True)])
    groups = [_moments(group) for group in by_prior]
    names = ("mean_train", "covariance_train", "hidden_kernel", "readout_covariance")
    for index, name in enumerate(names):
        error = np.std([group[index] for group in groups], axis=0, ddof=1) / np.sqrt(len(groups))
        value, own = error_of(exact, lambda outputs, name=name: getattr(outputs, name))
        z = (value.reshape(error.shape) - whole[index]) / np.hypot(error, own.reshape(error.shape))
        assert np.abs(z).max() < 7, name  # 20 groups: Student's t
        assert error.max() < 0.02 * max(np.abs(whole[index]).max(), 0.1), name


def test_narrow_networks_report_their_errors(case):
    _, _, exact = case
    assert exact.converged
    assert 1e-5 < exact.log_evidence_mc_error < 0.01
    assert 0 < exact.effective_sample_size < exact.iterations
    assert len(exact.batches) == 8


@pytest.mark.parametrize("width", [5, 40])
def test_derivatives_of_the_exponent(width):
    geometry = geometry_of_classes(3, 9, dimension=12)
    network = Network(width=width, g_w=0.7, kappa_0=0.4, chi=3.0)
    mixture = MatrixMixture(geometry.spectrum.lam, geometry.spectrum.y, network)
    rng = np.random.default_rng(1)
    factor = rng.normal(size=(3, 3))
    S = 0.2 * (factor @ factor.T + np.eye(3))
    L, h = np.linalg.cholesky(S), 1e-3
    for local, value, point in (
        (_local(mixture, L), lambda at: _height(mixture, at), L),
        (local_of_rescaling(mixture, S), mixture.value, S),
    ):
        n, steps = len(local.gradient), np.eye(len(local.gradient))

        def at(step, local=local, value=value):
            return value(local.moved(step))

        slopes = [(at(h * e) - at(-h * e)) / (2 * h) for e in steps]
        np.testing.assert_allclose(local.gradient, slopes, rtol=1e-4, atol=1e-4)
        bends = [
            [(at(h * (a + b)) - at(h * (a - b)) - at(h * (b - a)) + at(-h * (a + b))) / (4 * h * h) for b in steps]
            for a in steps
        ]
        np.testing.assert_allclose(local.hessian, bends, rtol=1e-3, atol=1e-3)
        assert value(point) == pytest.approx(at(np.zeros(n)), rel=1e-12)


def test_the_maximum_and_the_mode():
    geometry = geometry_of_classes(3, 30, dimension=40)
    network = Network(width=50, g_w=0.5, kappa_0=1.0, chi=10.0)
    mixture = MatrixMixture(geometry.spectrum.lam, geometry.spectrum.y, network)
    summit = most_probable(mixture, geometry)
    rng = np.random.default_rng(0)
    for _ in range(20):
        factor = np.eye(3) + 1e-2 * rng.normal(size=(3, 3))
        assert mixture.value(factor @ summit.point @ factor.T) < summit.value
    at = mode(mixture, summit.point)
    assert at.residual < 1e-6
    assert np.linalg.eigvalsh(at.curvature)[0] > 0


def test_another_seed_is_another_estimate_within_its_error(case):
    C, y, exact = case
    other = solved(geometry_of_kernel(C, y), NETWORK, ["exact"], seed=1)["exact"]
    error = np.hypot(exact.log_evidence_mc_error, other.log_evidence_mc_error)
    assert 0 < abs(other.log_evidence - exact.log_evidence) < 8 * error


@pytest.mark.parametrize(
    ("width", "samples", "g_w", "weak", "size"),
    [(20, 100, 30.0, 0.01, 757.6), (5, 60, 300.0, 0.1, 236.3)],
    ids=["normal", "Student's t"],
)
def test_every_mode_is_sampled(width, samples, g_w, weak, size):
    """Few neurons, and a target in a weak direction: as noise, or by large readouts; against quadrature at m = 1."""
    lam, y = np.ones(samples), np.zeros((samples, 1))
    lam[0], y[0] = weak, np.sqrt(size)
    network = Network(width=width, g_w=g_w, g_v=float(samples), kappa_0=1.0)
    alone = ScaleMixture(lam, y[:, 0], network)
    maxima = alone.maxima()
    assert len(maxima) == 2
    assert abs(alone.rise(np.array(maxima[1:]), maxima[0])[0]) < 3  # nats: both count
    geometry = geometry_of_kernel(np.diag(lam), y)
    found = solved(geometry, network, ["exact"])["exact"]
    (alone,) = solved_alone(geometry.x_train, y[:, 0], geometry.x_test, network, [1.0], ["exact"]).values()
    assert found.converged
    assert found.note == "the posterior of the readout matrix has 2 modes, all sampled"
    assert abs(found.log_evidence - alone.log_evidence) < 8 * found.log_evidence_mc_error  # 8 scrambles: Student's t
    value, error = error_of(found, lambda outputs: outputs.mean_train[0, 0])
    assert abs(value - alone.mean_train[0]) < 8 * error < 0.02 * value
    spread, error = error_of(found, lambda outputs: outputs.covariance_train[0, 0])
    assert abs(spread - np.asarray(alone.covariance_train)[0, 0]) < 8 * error
    assert found.effective_sample_size > 0.9 * found.iterations
    # rotated together with an output of zeros
    pair = geometry_of_kernel(np.diag(lam), np.hstack([y, 0 * y]))
    turned = geometry_of_kernel(np.diag(lam), np.hstack([y, 0 * y]) @ rotation(2))
    before, after = (solved(data, network, ["exact"])["exact"] for data in (pair, turned))
    assert "modes" in before.note
    (value, error), (other, its) = (error_of(at, lambda outputs: outputs.mean_train[0]) for at in (before, after))
    # an output of zeros has no sign, so that the points are others; rotated errors are at most the sum
    assert np.all(np.abs(other - value @ rotation(2)) < 8 * (error.sum() + its))
    assert abs(after.log_evidence - before.log_evidence) < 8 * before.log_evidence_mc_error
