"""The declarations fit together: tables and printouts rely on it."""

from dataclasses import fields

from msat.observables import variables
from msat.observables.moments import Moments
from msat.observables.registry import BY_NAME, COMPARED, OBSERVABLES


def test_names_are_unique_and_said():
    assert len(BY_NAME) == len(OBSERVABLES)
    for file in (variables.THEORY, variables.TRAINING, variables.CHAIN_MOMENTS, variables.SERIES):
        names = [variable.name for variable in file]
        assert len(set(names)) == len(names)
        assert not set(names) & set(BY_NAME)
    assert all(observable.text and observable.units for observable in OBSERVABLES)


def test_what_is_compared_is_a_number_of_theory_and_training():
    for observable in COMPARED:
        assert observable.theory, observable.name
        assert not observable.dimensions, observable.name
    assert all(observable.compared for observable in OBSERVABLES if observable.printed)


def test_needs_are_moments():
    known = {field.name for field in fields(Moments)}
    assert all(set(observable.needs) <= known for observable in OBSERVABLES)
