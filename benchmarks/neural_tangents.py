"""Dual kernels of msat against the analytic NNGP kernels of Google's neural-tangents, in float64.

neural-tangents has had no release since 2023 and runs on jax 0.4.23 and NumPy 1 only, so its kernels are
kept in reference_neural_tangents.json; its own environment is needed only to compute them anew:

    python3.11 -m venv venv-nt
    venv-nt/bin/pip install neural-tangents==0.6.5 jax==0.4.23 jaxlib==0.4.23 "numpy<2" "scipy<1.13"
    TF_CPP_MIN_LOG_LEVEL=3 venv-nt/bin/python -m benchmarks.neural_tangents

(about 2.5 GB, since neural-tangents imports tensorflow). Conventions: ``stax.Dense(1, W_std=s)`` has weights
of variance ``s^2 / fan-in`` and no bias, so ``W_std = sqrt(g_v)`` makes pre-activations of covariance
``(g_v / D) X X^T`` and a second layer with ``W_std = sqrt(g)`` multiplies the dual kernel by g;
``stax.Erf()`` is ``erf(h)``, ``stax.Gelu()`` the exact ``h Phi(h)``.
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from msat.activations import get_activation

REFERENCE = Path(__file__).with_name("reference_neural_tangents.json")

ACTIVATIONS = ("linear", "erf", "relu", "gelu", "quadratic")
G_V = (0.5, 1.0, 4.0)
READOUT = 0.7  # the second layer's g
LIMIT = 1e-6  # above it kernels disagree


def make_inputs():
    """Return inputs (P, D): random rows, and some that are nearly parallel, antiparallel, short or long."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 5))
    first = x[0]
    special = [first + 1e-3 * x[1], -first, -first + 1e-2 * x[2], 0.05 * x[3], 2.0 * x[4]]
    return np.round(np.vstack([x, special]), 12)


def neural_tangents_kernel(x, activation, g_v):
    """Return neural-tangents' NNGP kernel (P, P) of a two-layer network, over the readout's g.

    Args:
        x: Inputs (P, D).
        activation: Name out of `ACTIVATIONS`.
        g_v: Prior variance scale of the first layer.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    from neural_tangents import stax

    layer = {
        "linear": stax.Identity,
        "erf": stax.Erf,
        "relu": stax.Relu,
        "gelu": stax.Gelu,
        "quadratic": lambda: stax.Monomial(2),
    }[activation]()
    first, readout = stax.Dense(1, W_std=float(np.sqrt(g_v))), stax.Dense(1, W_std=float(np.sqrt(READOUT)))
    _, _, kernel = stax.serial(first, layer, readout)
    return np.asarray(kernel(x, None, "nngp"), dtype=np.float64) / READOUT


def make_reference(path):
    """Compute all kernels with neural-tangents and write them, with inputs and versions, to a JSON file."""
    if find_spec("neural_tangents") is None:
        raise SystemExit("neural-tangents needs an environment of its own: see this file's head")
    x = make_inputs()
    kernels = {
        activation: {f"{g_v:g}": neural_tangents_kernel(x, activation, g_v).tolist() for g_v in G_V}
        for activation in ACTIVATIONS
    }
    parts = {
        "about": "NNGP kernels over g by neural-tangents; made by benchmarks/neural_tangents.py",
        "versions": {name: version(name) for name in ("neural-tangents", "jax", "jaxlib", "numpy")},
        "x": x.tolist(),
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in parts.items()]
    rows = ",\n  ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in kernels.items())
    text = "{\n" + ",\n".join(lines) + ',\n"kernels": {\n  ' + rows + "\n}\n}\n"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def compare():
    """Return the largest difference of each kernel in units of its largest entry: by activation, a list over `G_V`."""
    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))
    x = np.array(reference["x"])
    found = {}
    for name, kernels in reference["kernels"].items():
        activation = get_activation(name)
        theirs = [np.array(kernels[f"{g_v:g}"]) for g_v in G_V]
        ours = [activation.dual_kernel(g_v / x.shape[1] * x @ x.T) for g_v in G_V]
        found[name] = [float(np.max(np.abs(a - b)) / np.max(np.abs(b))) for a, b in zip(ours, theirs, strict=True)]
    return found


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Compute the stored kernels of neural-tangents anew.")
    arguments.parse_args()
    make_reference(REFERENCE)
