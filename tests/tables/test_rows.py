import numpy as np
import pytest

from msat.observables.functions import mean_squared_error
from msat.observables.registry import SCALARS, of_outputs
from msat.tables import rows


def test_rows_hold_every_scalar_of_the_files(results):
    theory, langevin = results
    table = rows.theory_table(theory).set_index(["chi", "level"])
    assert len(table) == 2 * theory.sizes["level"]
    for (chi, level), row in table.iterrows():
        at = theory.sel(chi=chi, level=level)
        scalars = [name for name, values in at.data_vars.items() if not values.dims]
        assert {item.name for item in of_outputs(SCALARS, several=False) if item.theory} <= set(scalars)
        for name in scalars:
            np.testing.assert_equal(row[name], at[name].item(), name)
        variance = np.diag(at["covariance_train"])
        expected = mean_squared_error(at["y_train"].to_numpy(), at["mean_train"].to_numpy(), variance)
        np.testing.assert_allclose(row["train_squared_error"], expected, rtol=1e-12)
    assert table["converged"].dtype == bool
    (row,) = rows.langevin_table(langevin).to_dict("records")
    for name, values in langevin.isel(chi=0).data_vars.items():
        if not values.dims:
            np.testing.assert_equal(row[name], values.item(), name)


def test_what_a_file_lacks_is_not_a_number(results):
    theory, langevin = results
    missing = rows.theory_table(theory.drop_vars(["test_discrepancy", "test_discrepancy_mc_error"]))
    assert missing["test_discrepancy"].isna().all()
    assert (missing["test_discrepancy_mc_error"] == 0).all()
    dropped = langevin.drop_vars(["weight_alignment", "evidence_error_correlation"])
    assert rows.langevin_table(dropped)[["weight_alignment", "evidence_error_correlation"]].isna().all(axis=None)


def test_samples_and_chains(results):
    theory, langevin = results
    samples = rows.samples_table(theory, langevin)
    assert len(samples) == 6 + 4
    assert list(samples["part"]) == ["train"] * 6 + ["test"] * 4
    for level in theory["level"].to_numpy():
        np.testing.assert_array_equal(samples[level][6:], theory["mean_test"].sel(chi=2.0, level=level))
    chains = rows.chains_table(langevin)
    assert list(chains["start"]) == ["prior", "zero", "informed"] * 2
    assert chains["train_discrepancy"].mean() == pytest.approx(float(langevin["train_discrepancy"][0]))
