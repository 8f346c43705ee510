"""One training of the grid, and the names of its files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One training of the grid, and the files that belong to it.

    Attributes:
        n_train: Number of training samples, where it is an axis of the experiment's runs.
    """

    results: str
    experiment: str
    seed: int
    chi: str
    n_train: int | None = None

    @property
    def place(self) -> str:
        """What its files' names have in common: experiment, number of samples where that is an axis, and seed."""
        return f"{self.experiment}{samples_part(self.n_train)}/seed{self.seed}"

    @property
    def theory(self) -> str:
        """Result of the theory, at all scales."""
        return f"{self.results}/{self.place}/theory.nc"

    @property
    def langevin(self) -> str:
        """Result of the training."""
        return f"{self.results}/{self.place}/chi{self.chi}/langevin.nc"

    @property
    def reference(self) -> str:
        """Result of the training by another sampler, of runs that have one."""
        return f"{self.results}/{self.place}/chi{self.chi}/reference.nc"

    def final_state(self, kind: str) -> str:
        """Final state of the training or the reference: the same name for every version of it, so that one is kept."""
        return f"{self.results}/states/{self.place}/chi{self.chi}/{kind}.pt"

    def checkpoint(self, trajectory: str) -> str:
        """Checkpoint of the training whose trajectory has that digest."""
        return f"{self.results}/checkpoints/{self.place.replace('/', '-')}-chi{self.chi}-{trajectory}.pt"


def samples_part(n_train: int | None) -> str:
    """Return the part of file names that says the number of samples, or nothing where that is no axis."""
    return "" if n_train is None else f"/p{n_train}"
