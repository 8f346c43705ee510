"""The recipes of CONTRIBUTING.md, done with toys: what each adds to a copy of the repository, and its edits."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

TOYS = Path(__file__).parent / "toys"


@dataclass(frozen=True)
class Recipe:
    """One recipe: new files, each a toy of the same name, and edits, each an old text and its new one."""

    heading: str
    new: tuple[str, ...] = ()
    edits: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    @property
    def touched(self) -> list[str]:
        """The files touched, prose excluded."""
        return sorted(name for name in {*self.new, *self.edits} if not name.endswith((".rst", ".md")))

    def apply(self, folder: Path) -> None:
        """Do it in a copy of the repository."""
        for name in self.new:
            assert not (folder / name).exists(), name
            shutil.copyfile(TOYS / Path(name).name, folder / name)
        for name, changes in self.edits.items():
            text = (folder / name).read_text()
            for old, new in changes:
                assert text.count(old) == 1, f"{name}: {old!r}"
                text = text.replace(old, new)
            (folder / name).write_text(text)


def _before(anchor: str, text: str) -> tuple[str, str]:
    return anchor, text + anchor


LEVEL = Recipe(
    "A level of theory",
    new=("msat/theory/toy_level.py",),
    edits={
        "msat/levels.py": (
            _before("\nLEVELS = {", 'TOY_LEVEL = Level("toy_level", "toy level", "action", 3, "dashed", "v")\n'),
            ("LAPLACE, EXACT)}", "LAPLACE, TOY_LEVEL, EXACT)}"),
        )
    },
)
ACTIVATION = Recipe("An activation", new=("msat/activations/toy_activation.py",))
TASK = Recipe("A task", new=("msat/tasks/toy_task.py",))
OBSERVABLE = Recipe(
    "An observable",
    edits={
        "msat/observables/registry.py": (
            _before(
                ")\n\nBY_NAME = ",
                """    Observable(
        "toy_observable",
        "tr H / P",
        lambda m: float(np.trace(m.hidden_kernel)) / len(m.hidden_kernel),
        needs=("hidden_kernel",),
        compared=True,
        printed=True,
    ),
""",
            ),
        )
    },
)
FIGURE = Recipe("A figure", new=("msat/figures/toy_figure.py", "workflow/report/toy_figure.rst"))
OBSERVABLE_WITH_MOMENT = Recipe(
    "An observable",
    edits={
        "msat/langevin/moments.py": (
            _before(
                """        "readout_norm": tau""",
                """        "toy_moment": along_draws.pow(4).mean(dim=0),
""",
            ),
        ),
        "msat/observables/variables.py": (
            _before(
                """    Variable("series_readout_norm\"""",
                """    Variable("series_toy_moment", ("chain", "block"), "block means of (y.f/|y|)^4", "label^4"),
""",
            ),
        ),
        "msat/observables/registry.py": (
            _before(
                ")\n\nBY_NAME = ",
                """    Observable(
        "toy_moment",
        "<(y.f/|y|)^4>",
        lambda m: m.averages["toy_moment"],
        needs=("averages",),
        units="label^4",
        series=lambda s, m: s["toy_moment"],
        theory=False,
    ),
""",
            ),
        ),
    },
)
INTEGRATOR = Recipe(
    "An integrator",
    edits={
        "msat/langevin/integrators.py": (
            _before(
                "\nINTEGRATORS: ",
                """
def toy_integrator(
    positions: Sequence[Tensor],
    gradients: Sequence[Tensor],
    noise: Sequence[Tensor],
    step_size: float,
    generator: torch.Generator,
) -> None:
    \"\"\"Two Euler-Maruyama steps of half the size at the same gradient.\"\"\"
    for _ in range(2):
        euler_maruyama(positions, gradients, noise, step_size / 2, generator)

""",
            ),
            ('"euler_maruyama": euler_maruyama', '"euler_maruyama": euler_maruyama, "toy_integrator": toy_integrator'),
        ),
        "msat/langevin/settings.py": (('"euler_maruyama"]', '"euler_maruyama", "toy_integrator"]'),),
    },
)
SAMPLER = Recipe("A sampler", new=("msat/langevin/samplers/toy_sampler.py",))
RECIPES = (LEVEL, ACTIVATION, TASK, OBSERVABLE, OBSERVABLE_WITH_MOMENT, FIGURE, SAMPLER, INTEGRATOR)
