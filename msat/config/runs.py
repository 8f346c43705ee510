"""One training of the grid, and the names of its files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One training of the grid, and the files that belong to it."""

    results: str
    experiment: str
    seed: int
    chi: str

    @property
    def theory(self) -> str:
        """Result of the theory, at all scales."""
        return f"{self.results}/{self.experiment}/seed{self.seed}/theory.nc"

    @property
    def langevin(self) -> str:
        """Result of the training."""
        return f"{self.results}/{self.experiment}/seed{self.seed}/chi{self.chi}/langevin.nc"

    @property
    def reference(self) -> str:
        """Result of the training by another sampler, of runs that have one."""
        return f"{self.results}/{self.experiment}/seed{self.seed}/chi{self.chi}/reference.nc"

    def final_state(self, kind: str) -> str:
        """Final state of the training or the reference: the same name for every version of it, so that one is kept."""
        return f"{self.results}/states/{self.experiment}/seed{self.seed}/chi{self.chi}/{kind}.pt"

    def checkpoint(self, trajectory: str) -> str:
        """Checkpoint of the training whose trajectory has that digest."""
        return f"{self.results}/checkpoints/{self.experiment}-seed{self.seed}-chi{self.chi}-{trajectory}.pt"
