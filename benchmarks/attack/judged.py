"""One problem solved by the package and by the reference, and how far they are apart."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import msat
from benchmarks.attack.digits import D, set_digits
from benchmarks.attack.loop import one_loop
from benchmarks.attack.problems import Problem
from benchmarks.attack.reference import Answer, Diagonal, exact, laplace, nngp, rescaling, tree_level

LEVELS: dict[str, Callable[[Diagonal], Answer | None]] = {
    "nngp": nngp,
    "rescaling": rescaling,
    "tree_level": tree_level,
    "one_loop": one_loop,
    "laplace": laplace,
    "exact": exact,
}
TOLERANCE = 1e-6
FLOOR = 1e-7  # of the natural scale of a number, below which it counts as if it had that size


@dataclass(frozen=True)
class Verdict:
    """What became of one level of one problem.

    Attributes:
        state: "right", "marked" (converged = 0), "none" (a level without a solution, and marked so), "wrong", or
            "raised".
        error: The largest error over its tolerance's scale, and the name of that number.
        note: The level's own note, or the exception.
    """

    index: int
    level: str
    state: str
    error: float = 0.0
    name: str = ""
    note: str = ""

    @property
    def bad(self) -> bool:
        """Whether a reader would be misled."""
        return self.state in ("wrong", "raised")


def diagonal(problem: Problem) -> Diagonal:
    """Return the problem for the reference, exact from its factors."""
    set_digits()
    network, scale = problem.network, D(problem.network.g_v) / problem.task.x_train.shape[1]
    s = [D(float(x)) for x in problem.s]
    return Diagonal(
        lam=tuple(scale * x * x for x in s),
        y=tuple(D(float(x)) for x in problem.along),
        b=tuple(D(float(x)) / each for x, each in zip(problem.test, s, strict=True)),
        y0=D(problem.outside),
        n0=len(problem.task.y_train) - len(s),
        N=network.width,
        g=D(network.g_w) / D(network.chi),
        kappa=D(network.kappa_0) / D(network.chi),
        residual=scale * D(problem.test_outside) ** 2,
    )


def verdicts(problem: Problem, levels: Sequence[str] = tuple(LEVELS)) -> Iterator[Verdict]:
    """Yield a verdict for each level: alone, so that one that raises hides no other."""
    numbers = diagonal(problem)
    try:
        whole = _solved(problem, levels)
    except Exception:  # of which level, is seen below
        whole = None
    for level in levels:
        try:
            found = (_solved(problem, [level]) if whole is None else whole).sel(level=level).isel(chi=0)
        except Exception as error:  # whatever it is, it is what is looked for
            yield Verdict(problem.index, level, "raised", np.inf, type(error).__name__, str(error)[:200])
            continue
        note = str(found["note"].item())
        converged = bool(found["converged"])
        if level == "one_loop" and "ends at loop strength" in note:
            yield Verdict(problem.index, level, "none", note=note)
            continue
        answer = LEVELS[level](numbers)
        if answer is None:
            yield Verdict(problem.index, level, "wrong" if converged else "marked", np.inf, "no solution", note)
            continue
        error, name = max(_errors(problem, numbers, answer, found))
        state = "marked" if not converged else "right" if error <= TOLERANCE else "wrong"
        yield Verdict(problem.index, level, state, error, name, note)


def _solved(problem: Problem, levels: Sequence[str]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return msat.solve(problem.task, problem.network, levels=list(levels))


def _errors(problem: Problem, exact: Diagonal, answer: Answer, found: Any) -> Iterator[tuple[float, str]]:
    """Yield every number's error over its scale: its size, or what its terms have before they cancel times `FLOOR`."""
    P, kappa, size = exact.samples, float(exact.kappa), float(exact.squared)
    mean = np.array([float(x) for x in answer["mean_train"]])
    b = np.array([float(x) for x in exact.b])
    lam = float(exact.lam[0])
    field = abs(float(answer["train_discrepancy"])) * P / kappa
    scales: dict[str, Callable[[float], float]] = {
        "train_discrepancy": lambda value: abs(value),
        "evidence_slope": lambda value: max(abs(value), P / 2),
        "evidence_bend": lambda value: max(abs(value), field / 4),
        "variance_along_target": lambda value: max(
            abs(value), FLOOR * min(kappa, max(float(answer["readout_norm"]), float(exact.g)) * lam)
        ),
        "readout_norm": lambda value: max(abs(value), float(exact.g)),
        "log_evidence": lambda value: max(abs(value), 1.0),
        "action": lambda value: max(abs(value), 1.0),
    }
    for name, scale in scales.items():
        if name in answer:
            value = float(answer[name])
            yield _ratio(float(found[name]) - value, scale(value)), name
    top = problem.U[:, 0]
    kernel = found["hidden_kernel"].to_numpy()
    value = float(answer["hidden_kernel_top"])
    scale = max(abs(value), lam, FLOOR * float(np.linalg.norm(kernel)))
    yield _ratio(float(top @ kernel @ top) - value, scale), "H"
    difference = np.linalg.norm(found["mean_train"].to_numpy() - problem.U @ mean)
    yield _ratio(difference, max(np.linalg.norm(mean), FLOOR * size**0.5)), "mean_train"
    value = float(answer["mean_test"])
    scale = max(abs(value), float(np.abs(b * mean).sum()), FLOOR * float(np.linalg.norm(b)) * size**0.5)
    yield _ratio(float(found["mean_test"][0]) - value, scale), "mean_test"
    value = float(answer["variance_test"])
    yield _ratio(float(found["variance_test"][0]) - value, abs(value)), "variance_test"


def _ratio(error: float, scale: float) -> float:
    if not np.isfinite(error):
        return float("inf")
    return float(abs(error) / scale) if scale > 0 else float(0.0 if error == 0 else np.inf)
