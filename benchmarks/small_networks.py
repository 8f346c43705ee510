"""Small networks: levels and Langevin training against NumPyro's NUTS, on a posterior written down without msat.

Posterior means of the training outputs of width-20 networks on 16 samples, for three activations and three scales. The
reference is kept in reference_nuts.json; ``python -m benchmarks.small_networks`` samples it anew (ten minutes).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import msat

REFERENCE = Path(__file__).with_name("reference_nuts.json")

ACTIVATIONS = ("linear", "erf", "relu")
CHIS = (1.0, 5.0, 20.0)
NETWORK = {"width": 20, "g_w": 1.0, "g_v": 1.0, "kappa_0": 0.5}
TASK = {"n_train": 16, "dimension": 10, "cubic": 0.3, "label_noise": 0.2, "seed": 0}
NUTS = {
    "seed": 1,
    "chains": 8,
    "start_scales": [0.1, 1.0, 2.0, 3.0],  # chain k starts at this multiple of a draw from the prior
    "warmup": 1000,
    "target_accept": 0.8,
    "draws_per_round": 1000,
    "max_rounds": 15,
    "target_error": 0.005,  # |standard error| / |Delta| at which sampling stops
}
LANGEVIN = {"chains": 16, "target_error": 0.004, "dtype": "float64", "device": "cpu"}


def make_task():
    """Return inputs (P, D) and labels (P,): a single-index Hermite teacher with noise, unit variance.

    ``y ~ z + 0.3 (z^3 - 3 z) + 0.2 xi`` with ``z = x.u``, ``|u| = 1`` and normal x and xi.
    """
    rng = np.random.default_rng(TASK["seed"])
    x = rng.normal(size=(TASK["n_train"], TASK["dimension"]))
    direction = rng.normal(size=TASK["dimension"])
    z = x @ direction / np.linalg.norm(direction)
    y = z + TASK["cubic"] * (z**3 - 3 * z) + TASK["label_noise"] * rng.normal(size=len(z))
    return x, y / y.std()


def settings():
    """Return everything that the reference depends on."""
    return {"network": NETWORK, "task": TASK, "nuts": NUTS, "activations": list(ACTIVATIONS), "chi": list(CHIS)}


def sample_nuts(x, y, activation, chi, seed):
    """Return the posterior of the training outputs of one network by NUTS, with its own diagnostics.

    In whitened coordinates, ``V = sqrt(g_v/D) A`` and ``w = sqrt(g/N) b``, the potential is
    ``|y - f|^2 / (2 kappa) + |A|^2 / 2 + |b|^2 / 2``. R-hat and effective sample size are those of the
    outputs, of the log density and of both layers' norms: single weights mean nothing, since neurons can
    be exchanged. Rounds of draws are added until the standard error is small enough.

    Args:
        x, y: Inputs (P, D) and labels (P,).
        activation: linear, erf or relu.
        chi: Scale: ``g = g_w / chi``, ``kappa = kappa_0 / chi``.
        seed: Of starts and sampler.

    Returns:
        Means, standard deviations and standard errors of the outputs, and how the sampling went.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from numpyro import infer
    from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

    phi = {"linear": lambda h: h, "erf": jax.scipy.special.erf, "relu": lambda h: jnp.maximum(h, 0.0)}[activation]
    width, dimension = NETWORK["width"], x.shape[1]
    g, kappa = NETWORK["g_w"] / chi, NETWORK["kappa_0"] / chi
    inputs = np.sqrt(NETWORK["g_v"] / dimension) * x

    def outputs(point):
        return np.sqrt(g / width) * phi(inputs @ point["A"].T) @ point["b"]

    def potential(point):
        misfit = jnp.sum((y - outputs(point)) ** 2) / (2 * kappa)
        return misfit + jnp.sum(point["A"] ** 2) / 2 + jnp.sum(point["b"] ** 2) / 2

    @jax.jit
    @jax.vmap
    @jax.vmap
    def measure(point):
        norms = jnp.stack([potential(point), jnp.mean(point["A"] ** 2), jnp.mean(point["b"] ** 2)])
        return jnp.concatenate([outputs(point), norms])

    started = time.perf_counter()
    rng = np.random.default_rng([seed, 0])
    chains = NUTS["chains"]
    scales = np.resize(NUTS["start_scales"], chains)
    starts = {
        "A": jnp.array(scales[:, None, None] * rng.normal(size=(chains, width, dimension))),
        "b": jnp.array(scales[:, None] * rng.normal(size=(chains, width))),
    }
    sampler = infer.MCMC(
        infer.NUTS(potential_fn=potential, target_accept_prob=NUTS["target_accept"]),
        num_warmup=NUTS["warmup"],
        num_samples=NUTS["draws_per_round"],
        num_chains=chains,
        chain_method="vectorized",
        progress_bar=False,
    )
    key = jax.random.PRNGKey(seed)
    rounds, leapfrogs, divergences = [], [], 0
    while True:
        sampler.run(key, init_params=starts, extra_fields=("num_steps", "diverging"))
        rounds.append(np.asarray(measure(sampler.get_samples(group_by_chain=True))))
        leapfrogs.append(float(sampler.get_extra_fields()["num_steps"].mean()))
        divergences += int(sampler.get_extra_fields()["diverging"].sum())
        draws = np.concatenate(rounds, axis=1)
        mean, sd = draws.mean(axis=(0, 1)), draws.std(axis=(0, 1))
        ess, rhat = effective_sample_size(draws), split_gelman_rubin(draws)
        error = sd / np.sqrt(ess)
        n = len(y)
        relative = np.linalg.norm(error[:n]) / np.linalg.norm(y - mean[:n])
        if relative < NUTS["target_error"] or len(rounds) == NUTS["max_rounds"]:
            break
        sampler.post_warmup_state = sampler.last_state  # go on from here, without another warm-up
        key = sampler.last_state.rng_key
    return {
        "activation": activation,
        "chi": chi,
        "mean_train": rounded(mean[:n], 9),
        "mean_train_error": rounded(error[:n], 9),
        "sd_train": rounded(sd[:n], 6),
        "relative_error": round(float(relative), 6),
        "rhat_outputs": round(float(rhat[:n].max()), 5),
        "rhat_norms": round(float(rhat[n:].max()), 5),
        "ess_outputs": round(float(ess[:n].min())),
        "ess_norms": round(float(ess[n:].min())),
        "draws": draws.shape[0] * draws.shape[1],
        "divergences": divergences,
        "leapfrog_steps": round(float(np.mean(leapfrogs)), 1),
        "wall_time_s": round(time.perf_counter() - started, 1),
    }


def rounded(values, digits):
    """Return an array as a list of rounded numbers."""
    return [round(float(value), digits) for value in values]


def make_reference(path):
    """Sample all cases and write them, with data, settings, seeds and versions, to a JSON file."""
    if find_spec("numpyro") is None:
        raise SystemExit("the reference needs jax and numpyro: pip install '.[bench]'")
    x, y = make_task()
    cases = []
    for activation in ACTIVATIONS:
        for chi in CHIS:
            case = sample_nuts(x, y, activation, chi, seed=NUTS["seed"] + len(cases))
            print(
                f"NUTS {activation} chi = {chi:g}: {case['draws']} draws, relative error "
                f"{case['relative_error']:.2%}, R-hat {case['rhat_outputs']:.4f}, {case['wall_time_s']:.0f} s",
                flush=True,
            )
            cases.append(case)
    parts = {
        "about": "Posterior means of the training outputs by NumPyro's NUTS; made by benchmarks/small_networks.py",
        "settings": settings(),
        "versions": {name: version(name) for name in ("jax", "jaxlib", "numpyro", "numpy")},
        "x_train": x.tolist(),
        "y_train": y.tolist(),
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in parts.items()]
    rows = ",\n  ".join(json.dumps(case) for case in cases)
    text = "{\n" + ",\n".join(lines) + ',\n"cases": [\n  ' + rows + "\n]\n}\n"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def read_reference(path):
    """Return the stored reference.

    Raises:
        SystemExit: If there is none or it was made with other settings.
    """
    if not path.exists():
        raise SystemExit(f"{path.name} is not there: make it with python -m benchmarks.small_networks")
    reference = json.loads(path.read_text(encoding="utf-8"))
    if reference["settings"] != settings():
        raise SystemExit(f"{path.name} was made with other settings than this script's: make it anew")
    return reference


@dataclass(frozen=True)
class Agreement:
    """How far levels and training are from the reference in ``Delta = y - <f>``, relative, and its own standard error.

    Attributes:
        levels: By level.
        langevin_z: The largest deviation of a training output, in combined standard errors.
    """

    activation: str
    chi: float
    levels: dict[str, float]
    langevin: float
    langevin_z: float
    reference_error: float


def measure(quick: bool) -> list[Agreement]:
    """Return the agreement of every case of the reference; with `quick` of one, and hardly trained."""
    reference = read_reference(REFERENCE)
    task = msat.Task(
        np.array(reference["x_train"]), np.array(reference["y_train"]), np.zeros((0, TASK["dimension"])), np.zeros(0)
    )
    return [_agreement(task, case, quick) for case in reference["cases"][: 1 if quick else None]]


def _agreement(task: msat.Task, case: dict[str, Any], quick: bool) -> Agreement:
    mean, error = np.array(case["mean_train"]), np.array(case["mean_train_error"])
    size = np.linalg.norm(task.y_train - mean)
    network = msat.Network(activation=case["activation"], chi=case["chi"], **NETWORK)
    names = ["nngp", "tree_level", "laplace", *(["exact"] if case["activation"] == "linear" else [])]
    theory = msat.solve(task, network, levels=names, seed=0).isel(chi=0)
    trained = msat.train(task, network, seed=0, **LANGEVIN, **({"steps": 64} if quick else {})).isel(chi=0)
    difference = trained["mean_train"].to_numpy() - mean
    return Agreement(
        case["activation"],
        case["chi"],
        {name: float(np.linalg.norm(theory["mean_train"].sel(level=name) - mean) / size) for name in names},
        float(np.linalg.norm(difference) / size),
        float(np.max(np.abs(difference) / np.hypot(trained["mean_train_error"].to_numpy(), error))),
        case["relative_error"],
    )


if __name__ == "__main__":
    argparse.ArgumentParser(description="Sample the stored reference anew, with jax and numpyro.").parse_args()
    make_reference(REFERENCE)
