"""What result files hold beside observables: name, dimensions, meaning and units of every variable.

Dimensions are those beside level and chi for theory.nc, and beside chi for langevin.nc.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """A variable of a result file.

    Attributes:
        dimensions: Of several outputs with those that `msat.types.output_dimensions` adds.
        own_dimensions: Whether level and chi are not among its dimensions.
        of_several: Its dimensions where there are several outputs, if that rule does not give them.
    """

    name: str
    dimensions: tuple[str, ...]
    text: str
    units: str = "1"
    own_dimensions: bool = False
    of_several: tuple[str, ...] | None = None

    def attributes(self, name: str = "") -> dict[str, str]:
        """Return the attributes of the variable in a file."""
        return {"long_name": self.text, "units": self.units}


_TRAIN, _TEST, _MATRIX, _BLOCKS = ("train",), ("test",), ("train", "train_"), ("chain", "block")

MOMENTS = (
    Variable("mean_train", _TRAIN, "posterior mean output on the training points", "label"),
    Variable("mean_test", _TEST, "posterior mean output on the test points", "label"),
    Variable("covariance_train", _MATRIX, "output covariance on the training points, without label noise", "label^2"),
    Variable("variance_test", _TEST, "output variance on the test points, without label noise", "label^2"),
    Variable("hidden_kernel", _MATRIX, "E[(1/N) sum_i phi_i phi_i^T] on the training points"),
    Variable(
        "readout_covariance",
        ("output", "output_"),
        "<S>, S = sum_i w_i w_i^T, under the prior g_w/chi times 1; several outputs only",
    ),
)

# of all hidden layers, bottom to top, where there are several; `hidden_kernel` is that of the last one
LAYERS = Variable(
    "hidden_kernels",
    ("layer", *_MATRIX),
    "E[(1/N_l) sum_i phi_i phi_i^T] of all hidden layers, where there are several",
)

# the matrices over training points, P by P of each level and scale: by far the most of theory.nc
MATRICES = tuple(variable.name for variable in MOMENTS if variable.dimensions == _MATRIX)
# dimensions, and coordinates, of matrices that only some levels and scales have
SOME = ("matrix_level", "matrix_chi")

# what both files say of the data that they are about
DATA = (
    Variable("y_train", _TRAIN, "training labels", "label", True),
    Variable("y_test", _TEST, "test labels", "label", True),
    Variable("prior_kernel", _MATRIX, "E_prior[phi phi^T] on the training points", "1", True),
    Variable("degree", ("degree",), "degrees k of the Hermite components He_k(u.x)", "1", True),
)

THEORY = (
    *MOMENTS,
    LAYERS,
    Variable("mean_train_mc_error", _TRAIN, "Monte Carlo standard error of mean_train; 0 for closed forms", "label"),
    Variable("mean_test_mc_error", _TEST, "Monte Carlo standard error of mean_test; 0 for closed forms", "label"),
    Variable("log_evidence", (), "ln p(y) with all constants; NaN where the level defines none", "nat"),
    Variable("log_evidence_mc_error", (), "Monte Carlo standard error of log_evidence; 0 for closed forms", "nat"),
    Variable("action", (), "S(ft*) of the tree level; not comparable with a log evidence", "nat"),
    Variable("residual", (), "relative residual of the solver's equation"),
    Variable("iterations", (), "iterations of the solver (exact: quadrature nodes)"),
    Variable("converged", (), "1 where the solver converged; elsewhere predictions are not to be used"),
    Variable("loop_strength", (), "largest loop strength in [0, 1] to which the self-consistent loop was followed"),
    Variable("effective_sample_size", (), "independent neurons that a sampled level is worth; NaN for closed forms"),
    Variable("anneal_difference", (), "relative difference in y.ft of a downward anneal; NaN for closed forms"),
    Variable("note", (), "what a reader must know of the level on these data"),
    Variable(
        "population",
        ("chi", "neuron", "train"),
        "pre-activations of neurons of the tree level: trainings may start from them; sampled networks only",
        "1",
        True,
    ),
    *DATA,
    Variable("teacher_component", ("degree",), "learned_component of the test labels", "label", True),
)

TRAINING = (
    *MOMENTS,
    LAYERS,
    Variable("mean_train_error", _TRAIN, "standard error of mean_train", "label"),
    Variable("mean_test_error", _TEST, "standard error of mean_test", "label"),
    Variable("mean_train_draws", _TRAIN, "mean_train without the average over the readout", "label"),
    Variable("mean_train_draws_error", _TRAIN, "standard error of mean_train_draws", "label"),
    Variable("error_correlation_train", _MATRIX, "correlation between the errors of mean_train"),
    Variable("chain_mean_train", ("chain", "train"), "mean_train of each chain", "label"),
    Variable("train_discrepancy_blocks", _BLOCKS, "train discrepancy of successive blocks", "label^2"),
    Variable("evidence_error_correlation", (), "correlation between the errors of evidence_slope and evidence_bend"),
    Variable("rhat", _TRAIN, "rank-normalised split R-hat of block means"),
    Variable("ess", _TRAIN, "effective sample size: posterior variance over squared standard error"),
    Variable("step_size", (), "step size in whitened coordinates"),
    Variable("curvature", (), "largest curvature of the potential met, in whitened coordinates"),
    Variable("steps", (), "steps kept per chain", "step"),
    Variable("burn_in_steps", (), "steps thrown away per chain", "step"),
    Variable("start", ("chain",), "how the chain started: prior, zero, informed or theory", "1", True),
    *DATA,
    Variable("direction", ("row",), "row-space coordinates of the unit vector of weight_alignment", "1", True),
    Variable("component_projection", ("degree", "test"), "maps test outputs to learned_component", "1", True),
)

# what observables of training are functions of: the averages of every chain and their block series, averaged over the
# readout in closed form where that is possible; files hold a
# symmetric matrix as its lower triangle, row by row, along `pair` (training points) or `row_pair` (row space)
CHAIN_MOMENTS = (
    Variable("moment_f_train", ("chain", "train"), "mean output of each chain on the training points", "label"),
    Variable(
        "moment_ff_train",
        ("chain", "pair"),
        "mean of f f^T of each chain, lower triangle",
        "label^2",
        of_several=("chain", "output_pair"),
    ),
    Variable("moment_hidden_kernel", ("chain", "pair"), "hidden kernel of each chain, lower triangle"),
    Variable(
        "moment_first_layer",
        ("chain", "row_pair"),
        "E[(1/N) sum_i a_i a_i^T] of each chain in row-space coordinates, lower triangle",
    ),
    Variable("moment_f_test", ("chain", "test"), "mean output of each chain on the test points", "label"),
    Variable(
        "moment_readout_covariance",
        ("chain", "readout_pair"),
        "mean of S = sum_i w_i w_i^T of each chain, lower triangle; several outputs only",
    ),
)
SERIES = (
    Variable("series_along", _BLOCKS, "y.f/|y| in each block", "label"),
    Variable("series_along_squared", _BLOCKS, "(y.f/|y|)^2 in each block", "label^2"),
    Variable("series_squared", _BLOCKS, "|f|^2/P in each block", "label^2"),
    Variable("series_along_draws", _BLOCKS, "block means of y.f/|y|, without the average over the readout", "label"),
    Variable("series_along_squared_draws", _BLOCKS, "block means of (y.f/|y|)^2, without that average", "label^2"),
    Variable("series_along_test", _BLOCKS, "y.f on the test points in each block", "label^2"),
    Variable("series_components", ("chain", "block", "degree"), "learned_component in each block", "label"),
    Variable("series_hidden_along", _BLOCKS, "y.H y/|y|^2 in each block"),
    Variable("series_layers_along", (*_BLOCKS, "layer"), "y.H y/|y|^2 of every hidden layer in each block"),
    Variable("series_hidden_trace", _BLOCKS, "tr H/P in each block"),
    Variable("series_readout_norm", _BLOCKS, "|w|^2 in each block"),
    Variable("series_readout_norm_draws", _BLOCKS, "|w|^2 in each block, without the average over the readout"),
    Variable("series_weights_along", _BLOCKS, "(1/N) sum_i (a_i.u)^2 in each block, u the direction"),
    Variable("series_first_layer_variance", _BLOCKS, "mean square of whitened weights in each block"),
)
# at half the step, of a sampler that measures the bias of its own
HALF_SERIES = tuple(
    Variable(
        f"half_{item.name}", ("chain", "half_block", *item.dimensions[2:]), f"{item.text}, at half the step", item.units
    )
    for item in SERIES
)
