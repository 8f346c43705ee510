"""What is measured: streaming moments and block means, in bounded memory however long the run.

`record` is the one place that says what of every block is kept. A quantity (chains,) in `values` becomes a block
series of the result, a sum in `BY_CHAIN` a moment of every chain; observables are functions of these.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from msat.langevin.potential import Potential, Readout, Weights, readout_law
from msat.types import Array

# kept for every chain, since chains are independent: functions of these get errors from leaving one out
BY_CHAIN = ("f_train", "ff_train", "hidden_kernel", "first_layer", "f_test")
SEVERAL = "readout_covariance"  # the same, of several outputs
CAPACITY = 256  # block means kept per quantity; when full, neighbours merge and blocks double in length


@dataclass(eq=False)
class BlockMeans:
    """Means over consecutive blocks of steps, for every chain, of several named quantities.

    All quantities receive one value per base block (`append`). Between `CAPACITY / 2` and `CAPACITY`
    blocks are kept; a block then stands for `merged` base blocks.
    """

    merged: int = 1
    pending: list[dict[str, Tensor]] = field(default_factory=list)
    blocks: dict[str, list[Tensor]] = field(default_factory=dict)

    def append(self, values: dict[str, Tensor]) -> None:
        """Add one base block: for each name the block's mean, shape (chains, ...), float64."""
        self.pending.append(values)
        if len(self.pending) < self.merged:
            return
        for name in values:
            mean = torch.stack([item[name] for item in self.pending]).mean(dim=0)
            self.blocks.setdefault(name, []).append(mean)
        self.pending = []
        if len(self) == CAPACITY:
            self.merged *= 2
            self.blocks = {
                name: [(a + b) / 2 for a, b in zip(rows[0::2], rows[1::2], strict=True)]
                for name, rows in self.blocks.items()
            }

    def __len__(self) -> int:
        return len(next(iter(self.blocks.values()))) if self.blocks else 0

    def array(self, name: str) -> Array:
        """Return the complete blocks of one quantity as an array (chains, blocks, ...)."""
        return torch.stack(self.blocks[name], dim=1).cpu().numpy()


@dataclass(eq=False)
class Sums:
    """Running sums of named tensors, with their counts."""

    totals: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, total: Tensor, count: int) -> None:
        """Add a sum over `count` draws."""
        if name in self.totals:
            self.totals[name] += total
        else:
            self.totals[name] = total.clone()
        self.counts[name] = self.counts.get(name, 0) + count

    def mean(self, name: str) -> Array:
        """Return the mean over all draws."""
        return (self.totals[name] / self.counts[name]).cpu().numpy()


def record(
    potential: Potential, weights: Weights, outputs: Tensor, generator: Generator, blocks: BlockMeans, sums: Sums | None
) -> None:
    """Add the moments of one block: of its training outputs, and of its last weights.

    Means and covariance average the readout in closed form given the first layer at the end of the block
    (Rao-Blackwell): less noise a draw than the outputs themselves, which are kept beside them as a check (`draws`).

    Args:
        outputs: (steps, chains, P), or (steps, chains, P, m) of m > 1 outputs.
        sums: None where only block series are kept.
    """
    exact = potential.wide
    y, y_flat = exact.y, exact.y.flatten()
    length = y.norm()
    along_draws = outputs.double().flatten(2) @ y_flat / length  # component of f along the target, (steps, chains)
    layers = potential.hidden_layers(weights)
    hidden = layers[-1]
    wide, first_layer = hidden.double(), weights[0].double()
    readout = readout_law(exact, wide)
    mean, covariance = readout.mean_outputs, readout.covariance
    along = mean.flatten(1) @ y_flat / length
    f_test = potential.test_means((*weights[:-1], readout.mean.to(hidden.dtype)), generator).double()
    tau = potential.network.tau
    projected = (wide @ y).square()
    values = {
        "f_train": mean,
        "f_train_draws": outputs.double().mean(dim=0),
        "f_test": f_test,
        "along": along,
        "along_squared": along.square() + (covariance @ y).flatten(1) @ y_flat / length**2,
        "squared": (mean.square() + _each(covariance.diagonal(dim1=1, dim2=2), y)).flatten(1).mean(dim=1),
        "along_test": f_test.flatten(1) @ exact.y_test.flatten(),
        "along_draws": along_draws.mean(dim=0),
        "along_squared_draws": along_draws.square().mean(dim=0),
        "readout_norm": tau * readout.square,
        "readout_norm_draws": tau * weights[-1].double().square().flatten(1).sum(dim=1),
        "hidden_along": (projected if y.dim() == 1 else projected.sum(dim=2)).mean(dim=1) / length**2,
        "hidden_trace": wide.square().mean(dim=(1, 2)),
        "first_layer_variance": first_layer.square().mean(dim=(1, 2)),
        "weights_along": (first_layer @ exact.direction).square().mean(dim=1),
    }
    if len(layers) > 1:
        along_layers = [(layer.double() @ y).square().mean(dim=1) / length**2 for layer in layers]
        values["layers_along"] = torch.stack(along_layers, dim=1)
    if sums is not None:
        chains, neurons = wide.shape[:2]
        # one chain a block, in turn: these parts vary little
        turn = sums.counts.get("f_test", 0) % chains
        one, of_one = tuple(layer[turn] for layer in weights), Readout(*(tensor[turn] for tensor in readout))
        test_readout = potential.test_readout_variance(one, hidden[turn], of_one, generator)
        sums.add("test_residual_variance", potential.test_residual_variance(one, generator).double(), 1)
        sums.add("test_readout_variance", _each(test_readout, y), 1)
        # (P m)^2 + r^2 numbers a chain, less than the average over the readout holds for a moment where m = 1
        sums.add("f_train", mean, 1)
        sums.add("ff_train", _second_moment(mean, covariance), 1)
        sums.add("hidden_kernel", wide.mT @ wide, neurons)
        sums.add("first_layer", first_layer.mT @ first_layer, neurons)
        if len(layers) > 1:
            kernels = [torch.einsum("cnp,cnq->pq", layer.double(), layer.double()) / layer.shape[1] for layer in layers]
            sums.add("hidden_kernels", torch.stack(kernels), chains)
        sums.add("f_test", f_test, 1)
        sums.add("f_test_squared", f_test.square().sum(dim=0), chains)
        if y.dim() == 2:
            sums.add(SEVERAL, _readout_covariance(potential, readout), 1)
    blocks.append(values)


def _each(x: Tensor, y: Tensor) -> Tensor:
    """Return what is the same of all outputs in a shape that broadcasts against them."""
    return x if y.dim() == 1 else x[..., None]


def _second_moment(mean: Tensor, covariance: Tensor) -> Tensor:
    """Return ``E[f f^T | V, y]``, (chains, P, P), or of m outputs (chains, P m, P m): they are independent given V."""
    if mean.dim() == 2:
        return covariance + mean[:, :, None] * mean[:, None, :]
    flat = mean.flatten(1)
    product = flat[:, :, None] * flat[:, None, :]
    blocks = product.view(*mean.shape, *mean.shape[1:])
    blocks.diagonal(dim1=2, dim2=4).add_(covariance[..., None])
    return product


def _readout_covariance(potential: Potential, readout: Readout) -> Tensor:
    """Return ``E[S | V, y]``, ``S = sum_i w_i w_i^T``, (chains, m, m).

    Each output has the variance ``N - tr K A`` of its readout beside the mean.
    """
    outputs = readout.mean.shape[2]
    rest = (readout.square - readout.mean.square().flatten(1).sum(dim=1)) / outputs
    identity = torch.eye(outputs, dtype=rest.dtype, device=rest.device)
    return potential.network.tau * (readout.mean.mT @ readout.mean + rest[:, None, None] * identity)
