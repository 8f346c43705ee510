"""What the theory computes: the choices that config, command line and Python offer."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from msat.levels import NAMES, LevelName
from msat.network import Positive
from msat.settings import Seed, Settings

Levels = Annotated[list[LevelName], Field(min_length=1)]


class TheorySettings(Settings):
    """Scales, levels and sampling of one theory result."""

    chi: list[Positive] = Field([1.0], min_length=1, description="Scales, separated by commas.")
    levels: Levels | None = Field(
        None,
        description=f"Levels of theory, separated by commas, out of {', '.join(NAMES)}; by default all that the "
        "activation has.",
    )
    seed: Seed = Field(0, description="Seed of the sampling of non-linear levels.")
    strict: bool = Field(False, description="Fail if a level does not converge that cannot be without a solution.")
