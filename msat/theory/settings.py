"""What the theory computes: the choices that config, command line and Python offer."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from msat.levels import NAMES, LevelName
from msat.network import Positive
from msat.settings import Seed, Settings
from msat.theory.kept import ALL, LARGEST, NONE, parsed

Levels = Annotated[list[LevelName], Field(min_length=1)]
Matrices = Annotated[list[str | float], Field(min_length=1), BeforeValidator(parsed)]
MATRICES: Matrices | None = Field(
    None,
    description="Levels and scales whose covariance_train and hidden_kernel are kept, separated by commas; a level "
    f"alone at all scales, a scale alone of all levels; {ALL}; {NONE}; by default all up to {LARGEST / 1e6:.0f} MB in "
    "total, and none beyond.",
)


class TheorySettings(Settings):
    """Scales, levels and sampling of one theory result."""

    chi: list[Positive] = Field([1.0], min_length=1, description="Scales, separated by commas.")
    levels: Levels | None = Field(
        None,
        description=f"Levels of theory, separated by commas, out of {', '.join(NAMES)}; by default all that the "
        "activation has.",
    )
    matrices: Matrices | None = MATRICES
    seed: Seed = Field(0, description="Seed of the sampling of non-linear levels.")
    strict: bool = Field(False, description="Fail if a level does not converge that cannot be without a solution.")
