"""Second derivatives of the loop term of a linear network with several outputs.

With ``E = Q^-1 = 1 - (g/N) ft^T C ft``, quadratic in ft, and ``P_k = kappa E + g lam_k``,

    ln det(kappa + W'') = sum_k ln det P_k - (P + m + 1) ln det E + ln det Omega
    Omega_pp' = tr(F_p E F_p' E) + (2 g^2/N) sum_k v_k.F_p D_k^-1 F_p' v_k,      D_k^-1 = P_k^-1 E

up to a constant, for any fixed basis F_p of the symmetric matrices; with that of the action Omega is M at its field.
The derivatives are those in E and in v together, E being expanded to second order in ft. All is along the eigenvectors
of Q.
"""

from __future__ import annotations

import numpy as np

from msat.network import Network
from msat.theory.several.matrices import symmetric_basis
from msat.types import Array


def loop_hessian(lam: Array, network: Network, v: Array, q: Array, core: Array) -> Array:
    """Return the second derivative of ``ln det(kappa + W'')`` in ft, (P m, P m).

    Args:
        lam: Eigenvalues of the input kernel, (P,).
        v: ``C ft``, (P, m).
        q: Eigenvalues of Q, (m,).
        core: ``M^-1``, (n, n).
    """
    g, kappa, tau = network.g, network.kappa, network.tau
    samples, outputs = v.shape
    e, every = 1 / q, np.arange(samples)
    P = kappa * e + g * lam[:, None]
    root = np.sqrt(q)
    F = root[:, None] * symmetric_basis(outputs) * root
    W = np.einsum("pq,pab,qcd->abcd", core, F, F, optimize=True)
    W_v = np.einsum("abcd,kd->kabc", W, v, optimize=True)
    pair = np.einsum("kabc,ka->kbc", W_v, v) * lam[:, None, None] / (P[:, :, None] * P[:, None, :])

    # E as a function of ft: its first derivative, (m, m; P, m)
    E_ft = np.zeros((outputs, outputs, samples, outputs))
    for b in range(outputs):
        E_ft[b, :, :, b] -= tau * v.T
        E_ft[:, b, :, b] -= tau * v.T
    E_flat = E_ft.reshape(outputs**2, -1)

    # first derivative in E, (m, m), and second, (m^2, m^2)
    first = np.diag(-(g * lam[:, None] / (e * P)).sum(axis=0) - (outputs + 1) * q)
    first = first + 2 * np.einsum("abca,a->bc", W, e) + 2 * g**2 * tau * pair.sum(axis=0)
    quadratic = np.einsum("abcd->bcda", W).copy()
    triple = np.einsum("kbc,kx->bcx", pair, 1 / P)
    for x in range(outputs):
        quadratic[:, x, x, :] -= 2 * g**2 * tau * kappa * triple[:, :, x]
    quadratic = quadratic.reshape(outputs**2, -1)
    determinants = (q[:, None] * q - kappa**2 / (P[:, :, None] * P[:, None, :])).sum(axis=0)
    second = quadratic + quadratic.T + np.diag((determinants + (outputs + 1) * q[:, None] * q).reshape(-1))

    # in E and v, (m, m; P, m), and in v twice, (P, m, m)
    over = (lam**2)[:, None, None] / (P[:, :, None] * P[:, None, :])
    mixed = 4 * g**2 * tau * np.einsum("kabc,kbc->bcka", W_v, over)
    mixed = 0.5 * (mixed + mixed.transpose(1, 0, 2, 3)).reshape(outputs**2, -1)
    twice = 4 * g * tau * (lam**2)[:, None, None] * np.einsum("abbd,kb->kad", W, e / P)

    change = _omega_change(lam, network, v, F, e, P, E_flat)
    lower = np.linalg.cholesky(core)
    change = np.tensordot(lower.T, np.tensordot(change, lower, axes=(1, 0)), axes=(1, 0)).transpose(0, 2, 1)
    rows, columns = np.tril_indices(len(core))
    flat = change[rows, columns] * np.where(rows == columns, 1.0, np.sqrt(2))[:, None]

    half = 0.5 * second @ E_flat + mixed
    hessian: Array = E_flat.T @ half
    hessian = hessian + hessian.T - flat.T @ flat
    hessian.reshape(samples, outputs, samples, outputs)[every, :, every, :] += twice - 2 * tau * lam[:, None, None] * (
        0.5 * (first + first.T)
    )
    return hessian


def _omega_change(lam: Array, network: Network, v: Array, F: Array, e: Array, P: Array, E_ft: Array) -> Array:
    """Return the first derivative of Omega in ft, (n, n, P m)."""
    g, tau, n, (samples, outputs) = network.g, network.tau, len(F), v.shape
    F_v = np.einsum("pab,kb->kap", F, v)
    in_E = np.einsum("a,pab,qca->pqbc", e, F, F, optimize=True)
    scaled = (F_v / P[:, :, None]).reshape(samples, -1)
    pairs = 2 * g**2 * tau * ((scaled * lam[:, None]).T @ scaled).reshape(outputs, n, outputs, n)
    in_E = in_E + in_E.transpose(1, 0, 2, 3) + pairs.transpose(1, 3, 0, 2)
    in_E = 0.5 * (in_E + in_E.transpose(0, 1, 3, 2))
    # (p, a; q, k)
    in_v = np.tensordot(F, F_v * (2 * g * tau * lam[:, None] * e / P)[:, :, None], axes=(2, 1))
    in_v = in_v.transpose(0, 3, 2, 1).reshape(n, n, -1)
    change = in_E.reshape(n * n, -1) @ E_ft
    return np.asarray(change.reshape(n, n, -1) + in_v + in_v.transpose(1, 0, 2))
