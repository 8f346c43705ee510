"""Errors, while a run goes on, of scalars that are no mean of a series: eigenvalues, ratios of moments, alignments.

Each is a function t of the mean over chains of their moments M_j. To first order in the noise its error is that of the
mean of ``t'(M).M_j`` over independent chains: what leaving out one chain at a time gives a finished run, at the price
of one eigenvector each instead of one a chain. Names are those of the observables.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from msat.langevin.moments import SEVERAL, Sums
from msat.langevin.potential import Potential


def relative_errors(potential: Potential, sums: Sums) -> dict[str, float]:
    """Return relative standard errors by name, of what is defined on the data; none before moments are there."""
    if "ff_train" not in sums.totals:
        return {}
    means = {name: sums.totals[name] / sums.counts[name] for name in ("f_train", "hidden_kernel")}
    y = potential.wide.y
    # the second moments of outputs are the largest: not copied
    found = _of_covariance(y, means["f_train"].flatten(1), sums.totals["ff_train"], sums.counts["ff_train"])
    found |= _of_kernel(y, means["hidden_kernel"])
    if SEVERAL in sums.totals:
        S = sums.totals[SEVERAL] / sums.counts[SEVERAL]
        found["readout_outlier"] = _along(S, _leading(S.mean(dim=0)))
    errors = {name: _relative(parts) for name, parts in found.items()}
    return {name: error for name, error in errors.items() if math.isfinite(error)}


def _of_covariance(y: Tensor, f: Tensor, second: Tensor, count: int) -> dict[str, Tensor]:
    """Return parts by chain of what is linear in ``M_j - 2 f f_j^T + f f^T`` once a direction is known.

    Args:
        f: Means of chains, (chains, P m).
        second: Sums over `count` draws of their second moments M_j, (chains, P m, P m).
    """
    centre = f.mean(dim=0)

    def along(v: Tensor) -> Tensor:
        return (second @ v) @ v / count - 2 * (centre @ v) * (f @ v) + (centre @ v) ** 2

    trace = second.diagonal(dim1=1, dim2=2).sum(dim=1) / count - 2 * f @ centre + centre @ centre
    leading = _leading(second.mean(dim=0) / count - torch.outer(centre, centre))
    found = {"covariance_outlier": along(leading)}
    if len(centre) > 1:
        found["variance_across_target"] = trace - along(y.flatten() / y.norm())
    return found


def _of_kernel(y: Tensor, H: Tensor) -> dict[str, Tensor]:
    """Return parts by chain of functions of the mean hidden kernel from those of chains, (chains, P, P)."""
    mean, trace = H.mean(dim=0), H.diagonal(dim1=1, dim2=2).sum(dim=1)
    outlier = _along(H, _leading(mean))
    found = {"hidden_kernel_outlier": outlier}
    if len(mean) > 1:
        found["hidden_kernel_bulk"] = trace - outlier
    # of a ratio the relative changes add: 1 plus them has the mean 1
    found["hidden_kernel_effective_rank"] = 1 + 2 * trace / trace.mean() - 2 * _overlap(H, mean) / mean.square().sum()
    labels = (y - y.mean(dim=0)).reshape(len(mean), -1)
    centred = mean - mean.mean(dim=0) - mean.mean(dim=1, keepdim=True) + mean.mean()
    with_labels = ((H @ labels) * labels).sum(dim=(1, 2))
    ratio = with_labels / with_labels.mean() - _overlap(H, centred) / centred.square().sum()
    return found | {"hidden_kernel_alignment": 1 + ratio}


def _leading(M: Tensor) -> Tensor:
    """Return the eigenvector of the largest eigenvalue."""
    vectors: Tensor = torch.linalg.eigh(M.cpu()).eigenvectors
    return vectors[:, -1].to(M.device)


def _along(M: Tensor, v: Tensor) -> Tensor:
    return (M @ v) @ v


def _overlap(M: Tensor, other: Tensor) -> Tensor:
    return M.flatten(1) @ other.flatten()


def _relative(parts: Tensor) -> float:
    """Return the standard error of the mean over chains, over its size."""
    return float(parts.std() / math.sqrt(len(parts)) / parts.mean().abs())
