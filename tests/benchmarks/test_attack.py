"""Linear levels against a hundred digits: every twentieth problem of `make attack-linear`, and what was wrong once."""

import numpy as np
import pytest

from benchmarks.attack.digits import PI, D, log_gamma_half
from benchmarks.attack.judged import LEVELS, verdicts
from benchmarks.attack.problems import COUNT, LABELS, SPECTRA, problem
from benchmarks.attack.reference import Diagonal

pytestmark = pytest.mark.slow

EVERY = range(11, COUNT, 19)  # 19 is prime to the cycles of spectra, labels and sizes
MARKED = 0.2  # largest share of them that may be marked


def test_the_sample_has_every_kind():
    problems = [problem(index) for index in EVERY]
    assert len(problems) > 150
    assert {(each.spectrum, each.labels) for each in problems} == {(s, y) for s in SPECTRA for y in LABELS}
    assert {each.extreme for each in problems} == {True, False}


def test_every_level_is_right_or_says_that_it_is_not():
    found = [each for index in EVERY for each in verdicts(problem(index))]
    assert [each for each in found if each.bad] == []
    marked = {each.index for each in found if each.state == "marked"}
    assert len(marked) < MARKED * len(EVERY)
    assert all(each.note for each in found if each.state in ("marked", "none"))


@pytest.mark.parametrize("index", [388, 1358, 2813])
def test_what_was_wrong_is_right(index):
    """388: variances at large gain; 1358, 2813: kappa^2 terms from differences."""
    assert {each.state for each in verdicts(problem(index))} <= {"right", "none"}


def test_the_digits_of_the_reference():
    assert str(PI).startswith("3.14159265358979323846264338327950288419716939937510")
    assert abs(log_gamma_half(1) - PI.ln() / 2) < D("1e-95")
    assert float(log_gamma_half(11)) == pytest.approx(np.log(52.34277778455352), rel=1e-14)


def test_the_reference_of_one_neuron_is_an_integral_over_its_readout():
    """N = 1: p(y) = int dw N(w; 0, g) N(y; 0, w^2 lam + kappa), on a grid in float64."""
    g, kappa, lam, y = 0.7, 0.4, 1.3, 0.8
    one = Diagonal((D(lam),), (D(y),), (D(1),), y0=D(0), n0=0, N=1, g=D(g), kappa=D(kappa), residual=D(0))
    w = np.sqrt(g) * np.linspace(-12, 12, 200_001)
    d = w**2 * lam + kappa
    density = np.exp(-(w**2) / (2 * g) - y**2 / (2 * d)) / np.sqrt(d)
    evidence = np.log(density.sum() * (w[1] - w[0]) / (2 * np.pi * np.sqrt(g)))
    answer = LEVELS["exact"](one)
    assert float(answer["log_evidence"]) == pytest.approx(evidence, rel=1e-10)
    assert float(answer["train_discrepancy"]) == pytest.approx(kappa * y * y * (density / d).sum() / density.sum())
