"""Data of several outputs, the levels on them, and the log evidence by automatic differentiation."""

import importlib

import numpy as np
import torch

from msat.geometry import Geometry
from msat.levels import LEVELS
from msat.network import Network

CLOSED = ("nngp", "rescaling", "tree_level", "one_loop", "laplace")


def classes(outputs, n_train, dimension=200, n_test=0):
    """The classes of THEORY_EXT.md: one template each, labels +-1; test points after the training points."""
    rng = np.random.default_rng(7)
    templates = rng.choice([-1, 1], (outputs, dimension))
    label = np.arange(n_train + n_test) % outputs
    x = templates[label] * np.where(rng.random((len(label), dimension)) < 0.6, 1, -1)
    y = np.where(label[:, None] == np.arange(outputs), 1.0, -1.0)
    return x.astype(float), y, n_train


def geometry_of_classes(outputs, n_train, g_v=0.5, activation="linear", n_test=0, dimension=200):
    x, y, n = classes(outputs, n_train, dimension, n_test)
    return Geometry(x[:n], y[:n], x[n:], y[n:], g_v, activation)


def geometry_of_kernel(C, y):
    """Inputs whose kernel is C at g_v = P: the rows of its Cholesky factor; no test points."""
    x = np.linalg.cholesky(C)
    return Geometry(x, y, np.zeros((0, len(C))), np.zeros((0, y.shape[1])), float(len(C)), "linear")


def solved(geometry, network, levels, seed=0):
    """Return predictions of a linear network by level, by the code for several outputs even if there is one."""
    found = {}
    modules = {name: importlib.import_module(f"msat.theory.{name}") for name in levels}
    expansions = {name: module for name, module in modules.items() if LEVELS[name].method == "action"}
    for name in set(levels) - set(expansions):
        found[name] = importlib.import_module(f"msat.theory.several.{name}").predict(geometry, network, seed)
    ladder = importlib.import_module("msat.theory.several.linear.ladder")
    return found | {name: prediction for _, name, prediction in ladder.climb(geometry, [network], expansions, seed)}


def brute_laplace(C, y, G0, width, kappa):
    """Return ln p(y) of laplace with readouts ``w_i ~ N(0, G0/N)``, by automatic differentiation of W."""
    C, y, G0 = (torch.tensor(part, dtype=torch.float64) for part in (C, y, G0))

    def S(flat):
        ft = flat.reshape(y.shape)
        edge = torch.eye(y.shape[1], dtype=torch.float64) - G0 @ ft.T @ C @ ft / width
        return -(ft * y).sum() + kappa / 2 * (ft**2).sum() - width / 2 * torch.linalg.slogdet(edge)[1]

    ft = torch.zeros(y.numel(), dtype=torch.float64)
    for _ in range(60):
        slope, bend = torch.func.grad(S)(ft), torch.func.hessian(S)(ft)
        step, length = torch.linalg.solve(bend, slope), 1.0
        while not S(ft - length * step) < S(ft) + 1e-14 * abs(S(ft)) and length > 1e-6:
            length /= 2
        ft = ft - length * step
        if float(step.norm()) < 1e-9 * float(ft.norm()):
            break
    value = S(ft) - 0.5 * torch.linalg.slogdet(torch.func.hessian(S)(ft))[1]
    return float(value) - y.numel() / 2 * np.log(2 * np.pi)


def derivative(function, step=1e-4):
    """Fourth-order central difference at 0."""
    return (8 * (function(step) - function(-step)) - (function(2 * step) - function(-2 * step))) / (12 * step)


def rotation(outputs, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(outputs, outputs)))[0]


def error_of(prediction, function):
    """Value of a function of outputs and its Monte Carlo error, from the batches."""
    parts = np.array([function(batch) for batch in prediction.batches])
    return function(prediction), parts.std(axis=0, ddof=1) / np.sqrt(len(parts))


def paper(chi, width=100):
    return Network(width=width, g_w=0.5, g_v=0.5, kappa_0=1.0, chi=chi)
