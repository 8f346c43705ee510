"""Samplers: their parts, their laws where these are known without sampling, and their account of themselves."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

import msat
from msat.activations import NAMES as ACTIVATIONS
from msat.activations import get_activation
from msat.geometry import decompose
from msat.langevin import dynamics, ensemble
from msat.langevin.integrators import kick, rotate
from msat.langevin.potential import make_potential
from msat.langevin.samplers import NAMES, get_sampler, hmc, underdamped
from msat.langevin.settings import LangevinSettings
from msat.langevin.state import State
from msat.observables.evaluate import jackknifed
from msat.observables.moments import Frame, Moments
from msat.observables.registry import COMPARED, of_outputs
from msat.tasks.base import Task
from tests.conftest import Z_LIMIT

CPU = torch.device("cpu")
ALARM = 2 * scipy.stats.norm.sf(Z_LIMIT)  # of one test
NO_DATA = 1e12  # label noise beyond which labels say nothing


def _begin(task, network, **settings):
    """Return settings, potential and state of step 0, by the names of the program."""
    settings = LangevinSettings(**settings)
    potential, state = ensemble.begin(decompose(task, network), network, settings, {"seed": 1}, CPU)
    return settings, potential, state


def _normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- parts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time", [0.1, 1.0, 2.5, -0.7])
def test_rotation_keeps_energy_and_is_undone_by_its_inverse(time):
    x, p = _normal(3, 4, 5), _normal(3, 4, 5, seed=1)
    y, q = x.clone(), p.clone()
    rotate((y,), (q,), time)
    torch.testing.assert_close(y, math.cos(time) * x + math.sin(time) * p)
    torch.testing.assert_close(y**2 + q**2, x**2 + p**2)
    rotate((y,), (q,), -time)
    torch.testing.assert_close((y, q), (x, p))


def test_rotations_add_up_and_a_quarter_exchanges_position_and_momentum():
    x, p = _normal(7), _normal(7, seed=1)
    once, twice = (x.clone(), p.clone()), (x.clone(), p.clone())
    rotate(once[:1], once[1:], 0.9)
    for time in (0.5, 0.4):
        rotate(twice[:1], twice[1:], time)
    torch.testing.assert_close(once, twice)
    quarter = x.clone(), p.clone()
    rotate(quarter[:1], quarter[1:], math.pi / 2)
    torch.testing.assert_close(quarter, (p, -x))


def test_kick_is_minus_the_force_times_the_time():
    momenta, gradients = (_normal(2, 3), _normal(2, seed=1)), (_normal(2, 3, seed=2), _normal(2, seed=3))
    expected = tuple(p - 0.3 * g for p, g in zip(momenta, gradients, strict=True))
    kick(momenta, gradients, 0.3)
    torch.testing.assert_close(momenta, expected)


# --- hmc ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["linear", "erf"])
def potential(request, small_task):
    network = msat.Network(width=3, activation=request.param, g_w=1.3, g_v=0.8, kappa_0=0.4, chi=2.0)
    return make_potential(decompose(small_task, network), network)


def _leapfrog(potential, x, p, step_size, steps):
    x, p = tuple(t.clone() for t in x), tuple(t.clone() for t in p)
    gradients, outputs = potential.forces(x, prior=False)
    gradients, outputs = hmc.leapfrog(potential, x, p, gradients, step_size, steps)
    return x, p, gradients, outputs


def _phase_point(potential, chains):
    shapes = (chains, 3, potential.rank), (chains, 3)
    return [tuple(_normal(*shape, seed=seed + i) for i, shape in enumerate(shapes)) for seed in (0, 10)]


def test_leapfrog_returns_when_momenta_are_turned_round(potential):
    x, p = _phase_point(potential, chains=4)
    there, momenta, gradients, outputs = _leapfrog(potential, x, p, 0.05, 30)
    assert max(float((a - b).abs().max()) for a, b in zip(there, x, strict=True)) > 0.5  # it went somewhere
    torch.testing.assert_close((gradients, outputs), potential.forces(there, prior=False))
    back, momenta, *_ = _leapfrog(potential, there, tuple(-q for q in momenta), 0.05, 30)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
    torch.testing.assert_close(momenta, tuple(-q for q in p), rtol=0, atol=1e-10)


def test_leapfrog_is_symplectic(potential):
    """``J^T Omega J = Omega`` for its Jacobian J: volumes of phase space are kept, and more."""
    x, p = _phase_point(potential, chains=1)
    point = torch.cat([layer.flatten() for layer in (*x, *p)])
    shapes = [layer.shape[1:] for layer in (*x, *p)]
    sizes = [layer.numel() for layer in (*x, *p)]
    # a chain for each end of each central difference
    apart = 1e-5 * torch.eye(len(point), dtype=torch.float64)
    ends = torch.cat([point + apart, point - apart])
    layers = [part.reshape(-1, *shape) for part, shape in zip(ends.split(sizes, dim=1), shapes, strict=True)]
    there, momenta, *_ = _leapfrog(potential, layers[:2], layers[2:], 0.1, 3)
    upper, lower = torch.cat([layer.flatten(1) for layer in (*there, *momenta)], dim=1).split(len(point))
    jacobian = ((upper - lower) / 2e-5).T
    half = len(point) // 2
    omega = torch.zeros_like(jacobian)
    omega[:half, half:], omega[half:, :half] = torch.eye(half), -torch.eye(half)
    torch.testing.assert_close(jacobian.T @ omega @ jacobian, omega, rtol=0, atol=1e-6)
    assert float((jacobian - torch.eye(2 * half)).abs().max()) > 0.1


def test_energy_error_falls_as_the_square_of_the_step(potential):
    x, p = _phase_point(potential, chains=8)

    def error(steps):
        there, momenta, *_ = _leapfrog(potential, x, p, 1.0 / steps, steps)
        before, after = (
            potential.energy(w) + sum((layer**2).flatten(1).sum(dim=1) for layer in q) / 2
            for w, q in ((x, p), (there, momenta))
        )
        return after - before

    coarse, fine = error(200), error(400)
    assert float(coarse.abs().min()) > 1e-9
    torch.testing.assert_close(coarse / fine, torch.full_like(fine, 4.0), rtol=0.02, atol=0)


def test_acceptance_probability():
    error = torch.tensor([-3.0, 0.0, 1.0, math.inf, math.nan], dtype=torch.float64)
    expected = torch.tensor([1.0, 1.0, math.exp(-1), 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(hmc.acceptance_probability(error), expected)


def test_what_hmc_keeps_belongs_to_where_its_chains_stand(small_task, small_network):
    """After many trajectories, a third of them refused, chain by chain: gradients, outputs and energy."""
    settings, potential, state = _begin(small_task, small_network, sampler="hmc", step_size=0.5, chains=64)
    state.phase = "sampling"
    hmc.advance(potential, settings, state, 50)
    moved = []
    for _ in range(20):
        weights, memory = ([t.clone() for t in part] for part in (state.weights, state.memory))
        outputs = hmc.advance(potential, settings, state, 1)
        state.steps += 1
        changed = [(new != old).flatten(1).any(dim=1) for new, old in zip(state.weights, weights, strict=True)]
        assert bool((changed[0] == changed[1]).all())  # all layers of a chain, or none
        kept = [(new != old).reshape(64, -1).any(dim=1) for new, old in zip(state.memory, memory, strict=True)]
        assert all(bool((part == changed[0]).all()) for part in kept)
        assert bool((outputs[0] == state.memory[-2]).all())
        moved.append(changed[0])
    moved = torch.stack(moved)
    assert bool(((moved.sum(dim=0) > 0) & (moved.sum(dim=0) < 20)).sum() > 32)
    assert 0.2 < float(moved.double().mean()) < 0.9
    wide = tuple(layer.double() for layer in state.weights)
    gradients, outputs = potential.wide.forces(wide, prior=False)
    for kept, exact in zip(state.memory, (*gradients, outputs, potential.wide.energy(wide)), strict=True):
        torch.testing.assert_close(kept.double(), exact, rtol=1e-4, atol=1e-4 * float(exact.abs().max()))


def test_a_refused_trajectory_counts_its_chain_once_more(small_task, small_network):
    """Outputs repeat where a trajectory was refused, as often as the probabilities that are tallied say."""
    settings, potential, state = _begin(small_task, small_network, sampler="hmc", step_size=0.5, chains=64)
    state.phase = "sampling"
    outputs = hmc.advance(potential, settings, state, 400)
    repeated = (outputs[1:] == outputs[:-1]).all(dim=-1).sum()
    probability = float(state.tallies.mean("acceptance").mean())
    count = 399 * 64
    # the variance of a sum of independent draws is at most that of draws of the mean probability
    spread = math.sqrt(count * probability * (1 - probability))
    assert abs(float(repeated) - count * (1 - probability)) < Z_LIMIT * spread
    assert 0.1 < probability < 0.9


# some chains would never move again at steps that are larger still
LARGE = {"sampler": "hmc", "step_size": 1.1, "chains": 128, "steps": 192, "max_burn_in": 128, "seed": 2}


def _z_of_exact(task, network, **settings):
    """Return z of every compared observable of a training against the exact level, in units of its 1e-7 quantile."""
    exact = msat.solve(task, network, levels=["exact"]).isel(level=0, chi=0)
    trained = msat.train(task, network, **settings).isel(chi=0)
    found = {}
    for item in of_outputs(COMPARED, several=False):
        error = trained[f"{item.name}_error"].item() if item.name in trained and not item.dimensions else 0.0
        if error > 0 and np.isfinite(exact[item.name].item()):
            z = (trained[item.name].item() - exact[item.name].item()) / error
            # the error of a jackknife over chains comes from so many numbers: z follows Student's t
            law = scipy.stats.t(trained.sizes["chain"] - 1) if item.jackknifed else scipy.stats.norm
            found[item.name] = z / law.isf(ALARM / 2)
    assert len(found) >= 12
    return found, trained


@pytest.fixture(scope="module")
def noisy_network(small_network):
    return msat.Network(**small_network.parameters() | {"kappa_0": 2.0})


@pytest.mark.slow
def test_metropolis_test_makes_a_large_step_exact(small_task, noisy_network, monkeypatch):
    """The law is exact though most trajectories are refused; without the test it is far off at a smaller step."""
    found, trained = _z_of_exact(small_task, noisy_network, **LARGE)
    assert 0.2 < trained.attrs["acceptance_mean"] < 0.5
    assert max(map(abs, found.values())) < 1, found
    monkeypatch.setattr(hmc, "acceptance_probability", torch.ones_like)
    off, _ = _z_of_exact(small_task, noisy_network, **(LARGE | {"step_size": 0.7}))
    assert max(map(abs, off.values())) > 2, off


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [0.7, 0.8, 0.9])
def test_dual_averaging_reaches_the_acceptance_asked_for(small_task, small_network, wanted):
    """The last segment of burn-in tunes; the acceptance of what follows is within what so few trials tell."""
    seen = []
    network = msat.Network(**small_network.parameters() | {"kappa_0": 1.0})
    settings, potential, state = _begin(small_task, network, sampler="hmc", acceptance=wanted, steps=128)
    dynamics.run(potential, settings, state, lambda now, _: seen.append((now.phase, now.step_size)))
    assert len({step_size for phase, step_size in seen if phase in ("sampling", "done")}) == 1
    assert len({step_size for phase, step_size in seen if phase == "burn_in"}) > 10
    found = float(state.tallies.mean("acceptance").mean())
    print(wanted, found, state.burn_in_steps)
    assert found == pytest.approx(wanted, abs=0.07)


def test_a_given_step_is_not_tuned(small_task, small_network):
    steps = set()
    settings, potential, state = _begin(
        small_task, small_network, sampler="hmc", step_size=0.2, steps=64, max_burn_in=64
    )
    dynamics.run(potential, settings, state, lambda now, _: steps.add(now.step_size))
    assert steps == {0.2}


# --- laws that are known ------------------------------------------------------------------------------------


def _settled(task, network, time, **settings):
    """Return the weights of many chains after some time of sampling at a step size that was set at the start."""
    settings, potential, state = _begin(task, network, **settings)
    state.phase = "sampling"
    per_step = settings.trajectory if settings.sampler == "hmc" else state.step_size
    get_sampler(settings.sampler).advance(potential, settings, state, math.ceil(time / per_step))
    return settings, potential, state


@pytest.mark.parametrize(
    "settings",
    [
        {"sampler": "hmc"},
        {"sampler": "hmc", "step_size": 1.1},
        {"sampler": "underdamped", "step_size": 0.1},
        {"sampler": "underdamped", "step_size": 1.0},
        {"sampler": "underdamped", "step_size": 1.8},
        {"sampler": "underdamped", "step_size": 1.0, "friction": 4.0},
        {"sampler": "langevin", "step_size": 0.5},
    ],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_prior_is_exact_at_any_step_where_labels_say_nothing(small_task, settings, activation):
    network = msat.Network(width=7, activation=activation, kappa_0=NO_DATA)
    _, potential, state = _settled(small_task, network, 25.0, chains=2000, **settings)
    drawn = state.weights if settings["sampler"] != "underdamped" else (*state.weights, *state.memory)
    for layer in drawn:
        # chains are independent; so are the weights of each under the prior
        assert scipy.stats.kstest(layer.double().numpy().ravel(), scipy.stats.norm.cdf).pvalue > ALARM
    square = (state.weights[0].double() ** 2).sum(dim=(1, 2)) + (state.weights[1].double() ** 2).sum(dim=1)
    assert scipy.stats.kstest(square.numpy(), scipy.stats.chi2(7 * (potential.rank + 1)).cdf).pvalue > ALARM
    if settings["sampler"] == "hmc":
        assert float(state.tallies.mean("acceptance").min()) == pytest.approx(1, abs=1e-5)


def test_hmc_moves_on_where_labels_say_nothing(small_task):
    """Every step is accepted there: the tuned one must not grow to half turns, which change no output."""
    network = msat.Network(width=7, kappa_0=NO_DATA)
    settings, potential, state = _begin(small_task, network, sampler="hmc", chains=256)
    hmc.advance(potential, settings, state, 64)
    hmc.set_step_size(potential, settings, state)
    assert state.step_size <= settings.trajectory
    state.phase = "sampling"
    outputs = hmc.advance(potential, settings, state, 16).double()
    lagged = (outputs[1:] * outputs[:-1]).mean() / (outputs**2).mean()
    assert abs(float(lagged)) < 0.3


class _Quadratic:
    """Many walkers on ``lambda x^2 / 2`` beside the prior: what a likelihood of constant curvature is."""

    def __init__(self, curvature):
        self.curvature, self.y = curvature, torch.zeros(1)

    def forces(self, weights, prior=True):
        return tuple((self.curvature + prior) * layer for layer in weights), weights[0][:, :1]


@pytest.mark.parametrize("friction", [0.3, 3.0])
@pytest.mark.parametrize(("curvature", "step_size"), [(3.0, 0.8), (10.0, 0.6), (0.5, 1.5)])
def test_underdamped_variance_on_a_quadratic(curvature, step_size, friction):
    """``tan(h/2) / (tan(h/2) + h lambda/2)`` whatever the friction: independence of position and momentum half way
    between two kicks, and symmetry in time about a kick, leave one equation for the variance of positions."""
    generator = torch.Generator().manual_seed(5)
    weights, momenta = ((torch.randn(400_000, 1, generator=generator),) for _ in range(2))
    state = State(weights, momenta, generator, step_size, math.nan)
    settings = LangevinSettings(sampler="underdamped", friction=friction)
    underdamped.advance(_Quadratic(curvature), settings, state, math.ceil(20 / min(1.0, friction) / step_size))
    tangent = math.tan(step_size / 2)
    expected = tangent / (tangent + step_size * curvature / 2)
    error = expected * math.sqrt(2 / 400_000)
    assert abs(float((weights[0].double() ** 2).mean()) - expected) < Z_LIMIT * error
    assert abs(1 / (1 + curvature) - expected) > 2 * Z_LIMIT * error  # the bias is seen


# --- against levels and sums without sampling ---------------------------------------------------------------

SIZES = {
    "langevin": {"step_safety": 0.2, "chains": 64, "steps": 4096},
    "hmc": {"chains": 64, "steps": 256, "max_burn_in": 500},
    "underdamped": {"chains": 64, "steps": 2048},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", [(7, 10, 2.0), (20, 10, 20.0)], ids=str)
@pytest.mark.parametrize("sampler", NAMES)
def test_linear_networks_against_exact(sampler, case):
    width, n_train, chi = case
    rng = np.random.default_rng(n_train)
    sizes = ((n_train, 12), n_train, (3, 12), 3)
    task = Task(*(rng.normal(size=size) for size in sizes))
    network = msat.Network(width=width, g_w=1.3, g_v=0.8, kappa_0=1.0, chi=chi)
    found, _ = _z_of_exact(task, network, sampler=sampler, seed=4, **SIZES[sampler])
    assert max(map(abs, found.values())) < 1, found


@pytest.mark.slow
@pytest.mark.parametrize(("widths", "g_hidden", "chi"), [((7, 5), (1.4,), 2.0), ((5, 6, 4), (0.8, 1.3), 5.0)], ids=str)
@pytest.mark.parametrize("sampler", NAMES)
def test_deep_linear_networks_against_exact(sampler, widths, g_hidden, chi):
    rng = np.random.default_rng(10)
    task = Task(*(rng.normal(size=size) for size in ((8, 12), 8, (3, 12), 3)))
    network = msat.Network(width=widths, g_hidden=g_hidden, g_w=1.3, g_v=0.8, kappa_0=1.0, chi=chi)
    found, trained = _z_of_exact(task, network, sampler=sampler, seed=4, **SIZES[sampler])
    assert max(map(abs, found.values())) < 1, found
    exact = msat.solve(task, network, levels=["exact"]).isel(level=0, chi=0)
    for name in ("hidden_kernels_along_target", "mean_test"):  # every layer, every test point
        assert np.all(np.abs(trained[name] - exact[name]) < Z_LIMIT * trained[f"{name}_error"]), name


@pytest.fixture(scope="module")
def tiny_task():
    rng = np.random.default_rng(3)
    return Task(rng.normal(size=(2, 3)), np.array([0.9, -0.4]), rng.normal(size=(2, 3)), rng.normal(size=2))


@pytest.fixture(scope="module")
def by_weights(tiny_task):
    """Compared observables by importance sampling: draws from the prior weighted by the likelihood, with errors."""
    known = {}

    def reference(network):
        key = network.activation, network.widths
        if key not in known:
            known[key] = _importance_sampled(tiny_task, network)
        return known[key]

    return reference


def _tiny(activation, widths=2):
    g_hidden = () if widths == 2 else (1.6,) * (len(widths) - 1)
    return msat.Network(width=widths, activation=activation, g_w=1.5, g_v=1.2, kappa_0=0.3, g_hidden=g_hidden)


def _importance_sampled(task, network, draws=400_000, batches=40):
    """Return the observables by name, with their errors from leaving out one of the batches of draws."""
    rng, phi = np.random.default_rng(8), get_activation(network.activation).phi
    geometry = decompose(task, network)
    widths = network.widths
    V = rng.normal(size=(draws, widths[0], 3)) * math.sqrt(network.g_v / 3)
    w = rng.normal(size=(draws, widths[-1])) * math.sqrt(network.tau)
    hidden, hidden_test = (phi(V @ x.T) for x in (task.x_train, task.x_test))
    for g, below, above in zip(network.g_hidden, widths, widths[1:], strict=False):
        upwards = rng.normal(size=(draws, above, below)) * math.sqrt(g / below)
        hidden, hidden_test = phi(upwards @ hidden), phi(upwards @ hidden_test)
    f, f_test = (np.einsum("dn,dnp->dp", w, part) for part in (hidden, hidden_test))
    weight = np.exp(-((task.y_train - f) ** 2).sum(axis=1) / (2 * network.kappa))
    # row-space coordinates of whitened weights, from the pre-activations that they give
    a = V @ task.x_train.T @ np.linalg.pinv(geometry.row_space.train).T
    parts = {
        "f": f,
        "f_test": f_test,
        "ff": f[:, :, None] * f[:, None, :],
        "hidden": np.einsum("dnp,dnq->dpq", hidden, hidden) / widths[-1],
        "first_layer": np.einsum("dni,dnj->dij", a, a) / widths[0],
        "norm": (w**2).sum(axis=1),
    }
    share = weight.reshape(batches, -1).sum(axis=1)
    sums = {
        name: (weight.reshape(-1, *(1 for _ in part.shape[1:])) * part)
        .reshape(batches, -1, *part.shape[1:])
        .sum(axis=1)
        for name, part in parts.items()
    }
    assert weight.sum() ** 2 / (weight**2).sum() > 1e4  # effective draws
    frame = Frame(task.y_train, task.y_test, network.kappa, geometry.prior_kernel, geometry.direction)

    def observables(kept):
        mean = {name: part[kept].sum(axis=0) / share[kept].sum() for name, part in sums.items()}
        moments = Moments(
            frame,
            mean["f"],
            mean["f_test"],
            mean["ff"] - np.outer(mean["f"], mean["f"]),
            mean["hidden"],
            first_layer=lambda u: float(u @ mean["first_layer"] @ u),
            readout_norm=float(mean["norm"]),
            first_layer_variance=float(np.trace(mean["first_layer"])) / len(mean["first_layer"]),
        )
        found = {item.name: item.formula(moments) for item in COMPARED if item.defined(frame) and not item.dimensions}
        return {name: value for name, value in found.items() if np.isfinite(value)}

    everything = observables(np.arange(batches))
    left = [observables(np.delete(np.arange(batches), out)) for out in range(batches)]
    return {name: jackknifed(value, np.array([part[name] for part in left])) for name, value in everything.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("activation", "sampler", "widths"),
    [(name, "hmc", 2) for name in ACTIVATIONS]
    + [(name, sampler, 2) for name in ("erf", "relu") for sampler in NAMES if sampler != "hmc"]
    + [("erf", sampler, (3, 2)) for sampler in NAMES]
    + [("relu", "hmc", (2, 3, 2))],
)
def test_every_activation_against_importance_sampling(tiny_task, by_weights, activation, sampler, widths):
    """Of several hidden layers too, for which a non-linear network has no other reference."""
    network = _tiny(activation, widths)
    trained = msat.train(tiny_task, network, sampler=sampler, seed=6, **SIZES[sampler]).isel(chi=0)
    found = {}
    for name, (value, error) in by_weights(network).items():
        errors = float(error), trained[f"{name}_error"].item()
        if max(errors) > 1e-9:  # the centred alignment of two points is 1 but for rounding
            # both errors are known from forty numbers or more
            found[name] = (trained[name].item() - float(value)) / math.hypot(*errors)
    assert len(found) >= 11
    assert max(map(abs, found.values())) < scipy.stats.t(39).isf(ALARM / 2), found


@pytest.mark.parametrize(("most", "block", "half"), [(5, 5, 5), (20, 15, 20), (1000, 15, 30)])
def test_blocks_at_half_the_step_obey_the_memory_of_a_block(small_task, small_network, monkeypatch, most, block, half):
    """Twice as many steps where outputs of so many may be held, fewer where not; the time of the run is the same."""
    monkeypatch.setattr(dynamics.stopping, "most_block_steps", lambda state, n_labels: most)
    chosen = {"sampler": "underdamped", "step_size": 0.05, "chains": 4, "steps": 3840, "max_burn_in": 64}
    settings, potential, state = _begin(small_task, small_network, **chosen)
    lengths = set()
    original = dynamics.record
    monkeypatch.setattr(dynamics, "record", lambda *given: (lengths.add(len(given[2])), original(*given)))
    dynamics.run(potential, settings, state, lambda *_: None)
    assert (state.block, state.half.block) == (block, half)
    assert max(lengths) <= most
    # half as many steps as the whole run, in whole blocks
    assert state.half.steps == pytest.approx(state.steps / 2, rel=0.05)


@pytest.mark.slow
def test_underdamped_states_its_bias(small_task, small_network):
    """At a step near the limit of stability: what it states is the distance from exact, and many errors of it."""
    exact = msat.solve(small_task, small_network, levels=["exact"]).isel(level=0, chi=0)
    curvature = msat.train(small_task, small_network, sampler="underdamped", steps=64)["curvature"].item()
    settings = {"step_size": 1.3 / math.sqrt(curvature), "chains": 64, "steps": 4096, "seed": 3}
    trained = msat.train(small_task, small_network, sampler="underdamped", **settings).isel(chi=0)
    z = {}
    for name in (item.name for item in COMPARED if f"{item.name}_step_bias" in trained):
        if np.isfinite(exact[name].item()):
            stated, its_error = trained[f"{name}_step_bias"].item(), trained[f"{name}_step_bias_error"].item()
            bias, error = trained[name].item() - exact[name].item(), trained[f"{name}_error"].item()
            # four thirds of a change are the bias to leading order in the step: a fifth of it for what is beyond
            z[name] = (stated - bias) / math.hypot(its_error, error, 0.2 * bias)
    assert len(z) >= 5
    assert max(map(abs, z.values())) < Z_LIMIT, z
