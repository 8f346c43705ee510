import numpy as np
import pytest

from msat.types import output_dimensions


@pytest.mark.parametrize(
    ("declared", "shape", "expected"),
    [
        (("train",), (5,), ("train",)),
        (("train",), (5, 3), ("train", "output")),
        (("level", "chi", "test"), (2, 4, 0, 3), ("level", "chi", "test", "output")),
        ((), (), ()),
    ],
)
def test_outputs_have_a_dimension_of_their_own_only_where_there_are_several(declared, shape, expected):
    assert output_dimensions(declared, np.empty(shape)) == expected
