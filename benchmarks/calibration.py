"""Are the samplers right? Studies of many small runs against what is known of them without sampling.

    python benchmarks/calibration.py                      all studies at full size, as markdown, about half an hour
    python benchmarks/calibration.py runs ranks           some of them: runs, ranks, condensed
    python benchmarks/calibration.py --out FILE           into a file

runs: hmc on linear networks, 100 runs with data of their own over five settings. (measured - exact) / error of the
train discrepancy, the readout norm and the hidden kernel along y has mean 0 and variance 1.

ranks: simulation-based calibration. Weights from the prior make data; the rank of a function of these weights among
draws from the posterior given the data is uniform, whatever the network (Talts et al. 2018, arXiv:1804.06788).

condensed: ReLU with a single-index teacher at chi = N, where neurons condense; there is no exact level.

Exits with 1 where a criterion fails. The tests run `z_scores` and `ranks` at smaller sizes (tests/langevin).
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.stats
import torch

import msat
from msat.geometry import decompose
from msat.langevin.potential import make_potential
from msat.langevin.samplers import NAMES, get_sampler
from msat.langevin.settings import LangevinSettings
from msat.langevin.state import State
from msat.tasks.base import Task

ALARM = 1e-5  # probability that a study fails by chance, over all of its tests together

# N, P, chi, kappa_0: at both ends of the scale, more and fewer samples than neurons, little and much noise
SETTINGS = ((7, 6, 1.0, 0.5), (10, 8, 10.0, 1.0), (20, 10, 20.0, 4.0), (6, 10, 2.0, 0.3), (15, 7, 5.0, 0.1))
SCORED = ("train_discrepancy", "readout_norm", "hidden_kernel_along_target")

WIDTH, N_TRAIN, DIMENSION = 5, 3, 4  # of the networks whose ranks are taken
DRAWS = 19  # from each posterior: ranks are 0 to 19
# time between two draws, in units of the prior's relaxation (of hmc: trajectories), and how many of these are burn-in
SPACING = {"langevin": (5.0, 4), "hmc": (6, 12), "underdamped": (8.0, 4)}

MOST_STEPS = {"underdamped": 100_000, "langevin": 200_000, "hmc": 4000}  # of the study of condensed neurons


def data(n_train, dimension, seed):
    """Return a task with normal inputs and labels, without symmetries that could hide an error."""
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=shape) for shape in ((n_train, dimension), n_train, (2, dimension), 2)]
    return Task(*arrays)


def z_scores(runs, steps=256, chains=16):
    """Return (measured - exact) / error of so many runs of hmc at each of SETTINGS, by observable: (settings, runs)."""
    found = {name: np.empty((len(SETTINGS), runs)) for name in SCORED}
    for row, (width, n_train, chi, kappa_0) in enumerate(SETTINGS):
        network = msat.Network(width=width, g_w=1.3, g_v=0.8, kappa_0=kappa_0, chi=chi)
        for run in range(runs):
            task = data(n_train, n_train + 3, seed=1000 * row + run)
            exact = msat.solve(task, network, levels=["exact"]).isel(level=0, chi=0)
            trained = msat.train(task, network, sampler="hmc", seed=run, steps=steps, chains=chains).isel(chi=0)
            for name, scores in found.items():
                scores[row, run] = (trained[name] - exact[name]).item() / trained[f"{name}_error"].item()
    return found


def moments_agree(z, alarm=ALARM / 6):
    """Return whether so many independent z have mean 0 and variance 1, each at a rate of false alarm.

    Errors are known to some ten per cent, z follows a t law closely: allowed for in the variance by 60 degrees.
    """
    tails = 60 / 58  # variance of Student's t with 60 degrees of freedom
    mean = abs(z.mean()) * np.sqrt(len(z) / tails)
    low, high = scipy.stats.chi2.ppf([alarm / 2, 1 - alarm / 2], len(z) - 1) / (len(z) - 1)
    return scipy.stats.norm.sf(mean) * 2 > alarm and low < z.var(ddof=1) < high * tails


def ranks(sampler, activation, replicas, seed, kappa_factor=1.0, **options):
    """Return the ranks of known weights among draws from their posterior, and how far draws depend on each other.

    Every chain is a replica with labels of its own, so that all are advanced in one batch.

    Args:
        kappa_factor: The sampler is given this times the noise variance that made the labels: 1 but to see an error.
        options: Settings of the sampler.

    Returns:
        By quantity, ranks (replicas,) and the correlation of successive draws.
    """
    network = msat.Network(width=WIDTH, activation=activation, g_w=1.5, g_v=1.5, kappa_0=0.3)
    settings = LangevinSettings(sampler=sampler, **options)
    geometry = decompose(data(N_TRAIN, DIMENSION, seed=1), network)
    generator = torch.Generator().manual_seed(seed)
    potential = make_potential(geometry, network).to(getattr(torch, settings.dtype), torch.device("cpu"))

    def prior():
        shapes = ((replicas, WIDTH, potential.rank), (replicas, WIDTH))
        return tuple(potential.Z.new_empty(shape).normal_(generator=generator) for shape in shapes)

    truth = prior()
    noise = torch.empty(replicas, N_TRAIN, dtype=potential.y.dtype).normal_(generator=generator)
    labels = potential.outputs(truth) + network.kappa**0.5 * noise
    wrong = msat.Network(**network.parameters() | {"kappa_0": network.kappa_0 * kappa_factor})
    potential = replace(potential, y=labels, network=wrong)
    draws = _posterior_draws(potential, settings, prior(), generator)
    known = _quantities(potential, truth)
    found = {name: torch.stack([draw[name] for draw in draws]) for name in known}
    return (
        {name: (found[name] < known[name]).sum(dim=0).numpy() for name in known},
        {name: _correlation(found[name].double().numpy()) for name in known},
    )


def _posterior_draws(potential, settings, weights, generator):
    """Return the quantities of nearly independent draws of all chains."""
    sampler = get_sampler(settings.sampler)
    state = State(weights, sampler.memory(potential, weights, generator), generator, np.nan, np.nan)
    sampler.set_step_size(potential, settings, state)
    spacing, burn_in = SPACING[settings.sampler]

    def steps():
        return spacing if settings.sampler == "hmc" else round(spacing / state.step_size)

    for _ in range(2):
        for _ in range(burn_in // 2):
            state.burn_in_steps += len(sampler.advance(potential, settings, state, steps()))
        sampler.set_step_size(potential, settings, state)
    state.phase, draws = "sampling", []
    for _ in range(DRAWS):
        state.steps += len(sampler.advance(potential, settings, state, steps()))
        draws.append(_quantities(potential, state.weights))
    return draws


def _quantities(potential, weights):
    """Return what is ranked, by name, (chains,): functions of the weights and the labels."""
    A, b = weights
    f, y = potential.outputs(weights), potential.y
    return {
        "f": f[:, 0],
        "f_test": potential.test_means(weights, torch.Generator())[:, 0],
        "along_y": (f * y).sum(dim=1) / y.norm(dim=1),
        "misfit": (f - y).square().sum(dim=1),
        "readout_norm": b.square().sum(dim=1),
        "first_layer": A.square().sum(dim=(1, 2)),
    }


def _correlation(draws):
    """Return the correlation of successive draws, (draws, chains), about the mean of each chain, made unbiased."""
    centred = draws - draws.mean(axis=0)
    raw = (centred[1:] * centred[:-1]).mean() / (centred**2).mean()
    return raw + 1 / len(draws)  # of independent draws raw is minus one over their number


def uniform(found):
    """Return the p-value of uniform ranks by chi-squared."""
    return float(scipy.stats.chisquare(np.bincount(found, minlength=DRAWS + 1)).pvalue)


# --- the studies at full size ---------------------------------------------------------------------------------


def study_runs(runs=20):
    """Return the table of z of 100 runs, and whether it is as it must be."""
    scores, good = z_scores(runs), True
    lines = ["| observable | runs | mean of z | variance of z | largest | |", "|---|---|---|---|---|---|"]
    for name, z in scores.items():
        z = z.ravel()
        agrees = moments_agree(z)
        good &= agrees
        errors = f"{1 / np.sqrt(len(z)):.2f}", f"{np.sqrt(2 / (len(z) - 1)):.2f}"
        lines.append(
            f"| {name} | {len(z)} | {z.mean():.2f} ± {errors[0]} | {z.var(ddof=1):.2f} ± {errors[1]} "
            f"| {np.abs(z).max():.1f} | {'agrees' if agrees else 'FAILS'} |"
        )
    settings = "; ".join(f"({', '.join(f'{v:g}' for v in setting)})" for setting in SETTINGS)
    return ["## hmc against exact", "", f"(N, P, chi, kappa_0): {settings}.", "", *lines], good


def study_ranks(replicas=4000):
    """Return the table of simulation-based calibration, and whether all ranks are uniform."""
    names, good = None, True
    lines = []
    for activation in ("linear", "erf"):
        for sampler in NAMES:
            found, correlations = ranks(sampler, activation, replicas, seed=3)
            names = names or list(found)
            p = [uniform(values) for values in found.values()]
            good &= min(p) > ALARM / 36
            lines.append(
                f"| {activation} | {sampler} | {' | '.join(f'{value:.2g}' for value in p)} "
                f"| {max(correlations.values()):.3f} |"
            )
    head = f"| activation | sampler | {' | '.join(names)} | largest correlation of draws |"
    text = (
        f"P-values of uniform ranks, {replicas} replicas, {DRAWS} draws each; N = {WIDTH}, P = {N_TRAIN}. "
        f"All must exceed {ALARM / 36:.1g}."
    )
    return ["## Simulation-based calibration", "", text, "", head, "|---" * (len(names) + 3) + "|", *lines], good


def study_condensed(seeds=(0, 1), chi=100.0, target_error=0.0025):
    """Return the table of ReLU with a single-index teacher, and whether all mix and agree."""
    network = msat.Network(width=100, activation="relu", g_w=1.0, g_v=1.0, kappa_0=1.0, chi=chi)
    lines = [
        "| data seed | | R-hat | beyond its noise | train discrepancy | readout norm | hidden kernel | steps | s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    good = True
    for seed in seeds:
        task = msat.tasks.teacher_student(
            n_train=60, n_test=1000, dimension=30, coefficients=[1.0, 0.0, -0.1], basis="physicists", seed=seed
        )
        started = time.perf_counter()
        theory = msat.solve(task, network, levels=["tree_level", "laplace"])
        laplace = theory.sel(level="laplace").isel(chi=0)
        cells = [f"{laplace[name].item():.5f} ± {laplace[f'{name}_mc_error'].item():.5f}" for name in SCORED]
        lines.append(f"| {seed} | laplace | | | {' | '.join(cells)} | | {time.perf_counter() - started:.0f} |")
        values = []
        for sampler, max_steps in MOST_STEPS.items():
            started = time.perf_counter()
            settings = {"sampler": sampler, "target_error": target_error, "max_steps": max_steps}
            run = msat.train(task, network, theory=theory, **settings)
            at, attrs = run.isel(chi=0), run.attrs
            values.append([(at[name].item(), at[f"{name}_error"].item()) for name in SCORED])
            cells = [f"{value:.5f} ± {error:.5f}" for value, error in values[-1]]
            lines.append(
                f"| {seed} | {sampler} | {attrs['rhat_max']:.3f} | {attrs['rhat_excess']:.3f} | {' | '.join(cells)} "
                f"| {at['steps'].item()} + {at['burn_in_steps'].item()} | {time.perf_counter() - started:.0f} |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
            good &= attrs["rhat_excess"] < 1.01
        pairs = np.array(values)  # (samplers, observables, 2)
        z = [
            (first[:, 0] - second[:, 0]) / np.hypot(first[:, 1], second[:, 1])
            for first, second in ((pairs[0], pairs[1]), (pairs[0], pairs[2]), (pairs[1], pairs[2]))
        ]
        good &= bool(np.abs(z).max() < scipy.stats.norm.isf(ALARM / 36))
        lines.append(f"| {seed} | largest z between samplers | | | {np.abs(z).max():.1f} | | | | |")
    return [f"## ReLU, single-index teacher, chi = {chi:g}", "", *lines], good


STUDIES = {"runs": study_runs, "ranks": study_ranks, "condensed": study_condensed}


def main():
    """Run the studies asked for, write their tables, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"any of {', '.join(STUDIES)}; default all")
    parser.add_argument("--out", type=Path, help="markdown file to write, beside printing")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.studies if name not in STUDIES]
    if unknown:
        parser.error(f"unknown study {unknown[0]}: {', '.join(STUDIES)}")
    text, good = [], True
    for name in arguments.studies or STUDIES:
        started = time.perf_counter()
        lines, passed = STUDIES[name]()
        good &= passed
        verdict = "as it must be" if passed else "FAILS"
        text += [*lines, "", f"{verdict}; {time.perf_counter() - started:.0f} s", ""]
        print("\n".join(text[-len(lines) - 3 :]), flush=True)
        if arguments.out is not None:
            arguments.out.write_text("\n".join(text))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
