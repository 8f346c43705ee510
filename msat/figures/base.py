"""What a figure's module declares, for the workflow and the config: light, so that asking draws nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Declaration:
    """What a figure needs; its module holds one as ``NEEDS``.

    Attributes:
        kind: "experiment": tables, restricted to one experiment; "runs": a theory result and training results of one
            experiment; "map": tables of its own, over no experiment.
        tables: Tables that it reads: the arguments of its ``draw``.
        levels: Names of the levels without which it is not drawn.
        needs_direction: Whether it needs a teacher of one known direction.
    """

    kind: Literal["experiment", "runs", "map"]
    tables: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    needs_direction: bool = False
