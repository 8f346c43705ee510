"""What is measured: streaming moments and block means, in bounded memory however long the run.

`record` is the one place that says what of every block is kept. A quantity (chains,) in `values` becomes a block
series of the result, a sum in `BY_CHAIN` a moment of every chain; observables are functions of these.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from msat.langevin.potential import Potential, Weights, readout_posterior_mean
from msat.types import Array

# kept for every chain, since chains are independent: functions of these get errors from leaving one out
BY_CHAIN = ("f_train", "ff_train", "hidden_kernel", "first_layer", "f_test")
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
    """Add the moments of one block of training outputs, (steps, chains, P) in float64, and of its last weights.

    Args:
        sums: None during burn-in: only what its end is judged by is kept then.
    """
    y = potential.y.double()
    along = outputs @ y / y.norm()  # component of f along the target, (steps, chains)
    values = {
        "f_train": outputs.mean(dim=0),
        "along": along.mean(dim=0),
        "along_squared": along.square().mean(dim=0),
        "readout_norm": potential.network.tau * weights[-1].double().square().sum(dim=1),
        "first_layer_variance": weights[0].double().square().mean(dim=(1, 2)),
    }
    if sums is not None:
        hidden = potential.hidden(weights)
        wide, first_layer = hidden.double(), weights[0].double()
        values["hidden_along"] = (wide @ y).square().mean(dim=1) / y.square().sum()
        mean = potential.test_means(weights).double()
        turn = len(blocks) % len(mean)  # one chain a block, in turn: this part varies little
        one_chain = tuple(layer[turn] for layer in weights)
        variance = potential.test_residual_variance(one_chain, generator).double()
        rao_blackwell, conditional = readout_posterior_mean(potential, hidden)
        values |= {"f_test": mean, "f_train_rb": rao_blackwell}
        # 2 P^2 + r^2 numbers a chain, less than the Rao-Blackwell step holds for a moment
        steps, chains, neurons = len(outputs), len(mean), wide.shape[1]
        by_chain = outputs.transpose(0, 1)
        sums.add("f_train", outputs.sum(dim=0), steps)
        sums.add("ff_train", by_chain.mT @ by_chain, steps)
        sums.add("hidden_kernel", wide.mT @ wide, neurons)
        sums.add("first_layer", first_layer.mT @ first_layer, neurons)
        sums.add("f_test", mean, 1)
        sums.add("f_test_squared", mean.square().sum(dim=0), chains)
        sums.add("test_residual_variance", variance, 1)
        sums.add("rb_covariance", conditional.sum(dim=0), chains)
        sums.add("rb_outer", rao_blackwell.T @ rao_blackwell, chains)
    blocks.append(values)
