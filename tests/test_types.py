import numpy as np
import pytest

from msat.types import by_output, flat, output_dimensions


@pytest.mark.parametrize(
    ("declared", "shape", "expected"),
    [
        (("train",), (5,), ("train",)),
        (("train",), (5, 3), ("train", "output")),
        (("level", "chi", "test"), (2, 4, 0, 3), ("level", "chi", "test", "output")),
        ((), (), ()),
        (("chi", "train", "train_"), (1, 4, 3, 4, 3), ("chi", "train", "output", "train_", "output_")),
    ],
)
def test_outputs_have_a_dimension_of_their_own_only_where_there_are_several(declared, shape, expected):
    assert output_dimensions(declared, np.empty(shape)) == expected


def test_matrices_over_outputs_in_files_and_back():
    labels, matrix = np.empty((4, 3)), np.arange(144.0).reshape(12, 12)
    assert by_output(matrix, labels)[2, 1, 3, 0] == matrix[2 * 3 + 1, 3 * 3]
    np.testing.assert_array_equal(flat(by_output(matrix, labels)), matrix)
    kernel = matrix[:4, :4]  # over samples alone
    assert flat(by_output(kernel, labels)).shape == (4, 4)
    assert by_output(matrix, np.empty(12)) is matrix
