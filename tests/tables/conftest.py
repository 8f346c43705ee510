import pytest

import msat


@pytest.fixture(scope="package")
def results(small_task, small_network):
    """A theory result at two scales and a training result at one of them."""
    theory = msat.solve(small_task, small_network, chi=[1.0, 2.0], seed=4)
    langevin = msat.train(small_task, small_network, seed=4, steps=600, chains=6)
    for dataset in (theory, langevin):
        dataset.attrs["label"] = "small"
    return theory, langevin
