"""Streaming moments: bounded memory however long the run, no stored trajectory."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]

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
