import numpy as np
import pytest

from msat.observables import along_target, discrepancy, mean_squared_error


def test_values():
    y, mean = np.array([1.0, -1.0]), np.array([0.5, -0.25])
    covariance = np.array([[0.2, 0.1], [0.1, 0.4]])
    assert discrepancy(y, mean) == pytest.approx((0.5 + 0.75) / 2)
    assert mean_squared_error(y, mean, covariance) == pytest.approx((0.25 + 0.5625) / 2 + 0.3)
    assert mean_squared_error(y, mean, np.diag(covariance)) == mean_squared_error(y, mean, covariance)
    assert along_target(y, covariance) == pytest.approx((0.2 - 0.2 + 0.4) / 2)


def test_columns_do_not_broadcast():
    y = np.ones(3)
    with pytest.raises(ValueError, match="both must be"):
        discrepancy(y, np.ones((3, 1)))
    with pytest.raises(ValueError, match="both must be"):
        mean_squared_error(y, y, np.ones(4))
    with pytest.raises(ValueError, match="expected"):
        along_target(y, np.ones(3))
