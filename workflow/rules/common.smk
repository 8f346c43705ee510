# What all stages share: the checked configuration, the grid of jobs, and sizes as resources.

import csv
import shlex
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from msat.config import parse_config, with_files
from msat.errors import InputError
from msat.figures import MAP_FIGURES, TABLE_FIGURES, figures_of
from msat.langevin.settings import STOPPING_RULE
from msat.provenance import code_digest, digest, file_digest

try:
    CONFIG, LEFT_OUT = with_files(parse_config(config))
except InputError as error:
    raise WorkflowError(str(error)) from None
# The generated schema says the same to editors and to other tools; defaults are parse_config's affair, since
# Snakemake's own filling fails on optional sections.
validate(config, "../schemas/config.schema.json", set_default=False)

if LEFT_OUT and workflow.is_main_process:
    print(f"msat: {LEFT_OUT}", file=sys.stderr)
# what the report names
config["select"] = list(CONFIG.experiments)

# Whether a training job takes a GPU. This machine is asked only for runs on this machine: on a cluster, whose
# login node need not be like its nodes, the profile's set-resources overrides it.
ON_GPU = CONFIG.langevin.device == "cuda" or (
    CONFIG.langevin.device == "auto" and shutil.which("nvidia-smi") is not None
)

# The grid: one entry for each training job. A scale is a string here, so that a name is never recomputed.
GRID = [
    (experiment, seed, f"{chi:g}")
    for experiment in CONFIG.experiments
    for seed in CONFIG.seeds_of(experiment)
    for chi in CONFIG.chi(experiment)
]
TABLES = (
    "theory",
    "langevin",
    "comparison",
    "samples",
    "chains",
    "components",
    "evidence",
    "evidence_maximum",
    "checks",
)


wildcard_constraints:
    experiment="|".join(CONFIG.experiments),
    seed=r"\d+",
    chi="|".join(
        sorted({chi.replace(".", r"\.").replace("+", r"\+") for _, _, chi in GRID})
    ),


def scales_of(experiment):
    """The scales of an experiment as the strings of file names."""
    return [f"{chi:g}" for chi in CONFIG.chi(experiment)]


def job(stage_modules, **values):
    """All that determines a job's result beside its input files, as one dict of plain built-ins.

    Snakemake reruns a job when it changes: a parameter, or the code that the stage executes.
    """
    return {"code": code_digest(*stage_modules), **values}


def training_job(experiment):
    """The training job of one experiment, but for its data, scale and seed."""
    return job(
        ["msat.stages.training"], **network_of(experiment), **CONFIG.langevin.model_dump()
    )


def checkpoint_of(wildcards):
    """The checkpoint of one training job, named by all that determines its trajectory: not by where it ends."""
    files = CONFIG.task_files(wildcards.experiment)
    key = training_job(wildcards.experiment) | {
        "task": task_of(wildcards.experiment),
        "files": [] if files == CONFIG.mnist_files() else list(map(file_digest, files)),
    }
    trajectory = digest(
        {name: value for name, value in key.items() if name not in STOPPING_RULE}
    )
    name = f"{wildcards.experiment}-seed{wildcards.seed}-chi{wildcards.chi}-{trajectory}.pt"
    return f"{CONFIG.results}/checkpoints/{name}"


def final_state_of(wildcards):
    """The final state of one training job: the same name for every version of it, so that one is kept."""
    run = f"{wildcards.experiment}/seed{wildcards.seed}/chi{wildcards.chi}"
    return f"{CONFIG.results}/states/{run}/langevin.pt"


def write_plan(path):
    """Write the list of all runs and their files: ten thousand names are too long for a command line."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["experiment", "seed", "chi", "theory", "langevin"])
        for experiment, seed, chi in GRID:
            folder = f"{CONFIG.results}/{experiment}/seed{seed}"
            writer.writerow(
                [
                    experiment,
                    seed,
                    chi,
                    f"{folder}/theory.nc",
                    f"{folder}/chi{chi}/langevin.nc",
                ]
            )


def figure_job(figure):
    """The job of one figure, as a function of the wildcards."""
    return lambda wildcards: job(
        [f"msat.figures.{figure}", "msat.figures"],
        title=CONFIG.experiments[wildcards.experiment].title,
    )


def flag(name, value):
    """One command-line option: lists are joined by commas, booleans are switches."""
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    if isinstance(value, list):
        value = ",".join(str(item) for item in value)
    return shlex.quote(f"--{option}={value}")


def flags(values):
    """A mapping as command-line options; None is left out."""
    return " ".join(
        flag(name, value) for name, value in values.items() if value is not None
    )


def figure_files():
    """Every figure of every experiment in every format, and the figures that stand alone."""
    stems = [
        f"{experiment}/{figure}"
        for experiment in CONFIG.experiments
        for figure in figures_of(CONFIG.single_index(experiment))
    ]
    return [
        f"<results>/figures/{stem}.{suffix}"
        for stem in (*stems, *MAP_FIGURES)
        for suffix in CONFIG.figures.formats
    ]


def kernel_runs(wildcards):
    """The training results that the kernels are drawn from: the first seed at the lowest and highest scale."""
    seed = CONFIG.seeds_of(wildcards.experiment)[0]
    scales = sorted(scales_of(wildcards.experiment), key=float)
    return [
        f"<results>/{wildcards.experiment}/seed{seed}/chi{chi}/langevin.nc"
        for chi in dict.fromkeys((scales[0], scales[-1]))
    ]


def kernel_theory(wildcards):
    """The theory result of the same seed."""
    return f"<results>/{wildcards.experiment}/seed{CONFIG.seeds_of(wildcards.experiment)[0]}/theory.nc"


def task_of(experiment):
    return CONFIG.experiments[experiment].task.model_dump()


def sizes_of(experiment):
    """Number of samples and dimension, for the resources of a job."""
    return CONFIG.sizes(experiment)._asdict()


def task_files(wildcards):
    """A changed table makes its data sets anew; MNIST never changes, whatever its files' dates say."""
    files = CONFIG.task_files(wildcards.experiment)
    return ancient(files) if files == CONFIG.mnist_files() else files


def mnist_sources():
    """The options that say where MNIST comes from."""
    return " ".join(flag("source", source) for source in CONFIG.mnist.sources)


def network_of(experiment):
    return CONFIG.experiments[experiment].network.model_dump()


# Sizes as resources; each retry asks for more.


def theory_mb(wildcards, attempt):
    """Two P by P matrices a level and scale are held, in float64."""
    task = sizes_of(wildcards.experiment)
    levels, scales = len(CONFIG.levels_of(wildcards.experiment)), len(
        CONFIG.chi(wildcards.experiment)
    )
    matrices = (2 * levels * scales + 8) * task["n_train"] ** 2
    return attempt * (
        400 + int(8e-6 * (matrices + 4 * task["n_train"] * task["n_test"]))
    )


def training_mb(wildcards, attempt):
    """Copies of all chains' first layers, P by P matrices of every chain, and block means of all outputs."""
    task, network = sizes_of(wildcards.experiment), network_of(wildcards.experiment)
    n_train, n_test = task["n_train"], task["n_test"]
    first_layer = (
        CONFIG.langevin.chains * network["width"] * min(n_train, task["dimension"])
    )
    blocks = 300 * CONFIG.langevin.chains * (2 * n_train + n_test)
    return attempt * (
        700
        + int(
            8e-6
            * (
                12 * first_layer
                + 110 * CONFIG.langevin.chains * n_train**2
                + 2 * blocks
            )
        )
    )


# Every number of seconds below is of one core of the machine of docs/cluster.md (benchmarks/bench_sizes.py).
LONGEST = (
    24 * 60
)  # minutes that a job asks for at most: what is left then goes on from the checkpoint
SHORT = 10  # minutes below which jobs are submitted in groups


def expected_minutes(wildcards):
    """Minutes of a training that goes on to the most steps allowed, without the start."""
    task, network = sizes_of(wildcards.experiment), network_of(wildcards.experiment)
    n_train, langevin = task["n_train"], CONFIG.langevin
    rank = min(n_train, task["dimension"])
    weights = langevin.chains * network["width"] * rank
    hidden = langevin.chains * network["width"] * n_train
    # calls; noise and its sum; the activation; products of first layer and data
    step = 3e-4 + 1.2e-8 * weights + 5e-9 * hidden + 2e-11 * weights * n_train
    steps = (langevin.steps or langevin.max_steps) + min(
        langevin.max_burn_in, langevin.max_steps
    )
    return steps * step / 60


def training_minutes(wildcards, attempt):
    """Twice the expected time and ten minutes to start; each retry asks for more."""
    return min(LONGEST, attempt * (10 + int(2 * expected_minutes(wildcards))))


def training_group(wildcards):
    """Trainings that are too short for a submission of their own share one, where the profile groups."""
    return "short_training" if expected_minutes(wildcards) < SHORT else None


# How often trainings are saved, and whether they leave their final states.
SAVING = flags(CONFIG.saving.model_dump())
