# What all stages share: the checked configuration, the grid of jobs, and sizes as resources.

import inspect
import shutil
import sys
from functools import cache, partial
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from msat.cli_options import flags
from msat.config import parse_config, with_files
from msat.config.runs import samples_part
from msat.errors import InputError
from msat.keys import digest
from msat.langevin import cost as training_cost
from msat.stages import code
from msat.stages.figures import outdated
from msat.stages.maps import MAPS
from msat.tables import TABLES
from msat.theory import cost as theory_cost

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

# The grid: one entry for each training job.
RUNS = CONFIG.runs()


def on_gpu(kind):
    """Whether a training job takes a GPU.

    This machine is asked only for runs on this machine: on a cluster, whose login node need not be like its nodes, the
    profile's set-resources overrides it.
    """
    device = getattr(CONFIG, kind).device
    here = device == "auto" and shutil.which("nvidia-smi") is not None
    return device == "cuda" or here


# How often trainings are saved, and whether they leave their final states.
SAVING = CONFIG.saving.model_dump()


# {samples} is empty, or /p and the number of training samples where an experiment has a list of them.
wildcard_constraints:
    **CONFIG.wildcards(),


def of_job(function, *first):
    """The function of a job, with its first arguments given.

    Snakemake looks at a function's signature several times a job: worked out here, it is a fifth of a dry run less.
    """
    function = partial(function, *first)
    function.__signature__ = inspect.signature(function)
    return function


def growing(amount):
    """Resource of which each retry asks for more."""
    return of_job(lambda wildcards, attempt: amount * attempt)


def experiment_of(wildcards):
    return CONFIG.experiments[wildcards.experiment]


def key_file(name, values):
    """A file with a digest of values, written where these have changed: an input of quick jobs that follow from them.

    In a results folder that was copied here Snakemake knows no params: by this file it sees that the config is another.
    Not for trainings and theory, which a copy whose dates were lost would run again: `collect` refuses theirs by name.
    """
    path, text = Path(f"{CONFIG.results}/keys/{name}"), digest({name: values})
    if workflow.is_main_process and (not path.is_file() or path.read_text() != text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(path)


# What determines a job's result beside its input files: the code that the stage executes and its values, as one dict
# of plain built-ins, the param `job` of each rule. Snakemake reruns a job when it changes.


def write_plan(output):
    """The list of all runs and their keys: ten thousand names are too long for a command line."""
    Path(output.runs).write_text(CONFIG.plan(), encoding="utf-8")
    Path(output.key).write_text(CONFIG.keys_text(), encoding="utf-8")


def n_train_of(wildcards):
    """The number of samples, where it is an axis of the experiment's runs; else None."""
    return CONFIG.run_of(**wildcards).n_train


def task_of(wildcards):
    return CONFIG.task_of(wildcards.experiment, n_train_of(wildcards))


def task_job(wildcards):
    values = CONFIG.task_values(wildcards.experiment, n_train_of(wildcards))
    activations, nested = task_of(wildcards).activations(), "n_drawn" in values
    return {"code": code.task(values["name"], activations, nested), **values}


def theory_values(wildcards):
    return CONFIG.theory_of(wildcards.experiment, n_train_of(wildcards))


@cache
def training_code(experiment, kind):
    network, sampler = (
        CONFIG.experiments[experiment].network,
        getattr(CONFIG, kind).sampler,
    )
    return code.training(network.activation, sampler, network.depth)


@cache
def trajectory(experiment, n_train, kind):
    """A digest of what determines the trajectories of an experiment, which names its checkpoints."""
    return CONFIG.trajectory(experiment, kind, training_code(experiment, kind), n_train)


def training_input(wildcards):
    """The data; and, if asked for, the theory whose neurons are started from.

    Not by default: every edit of the theory would train again. ancient() is no way out: Snakemake 9.27 then overlooks
    that a training's own parameters have changed wherever its theory runs too.
    """
    place = f"<results>/{CONFIG.run_of(**wildcards).place}"
    files = {"data": f"{place}/data.npz"}
    if CONFIG.starts(wildcards.experiment):
        files["theory"] = f"{place}/theory.nc"
    return files


def training_job(kind, wildcards):
    values = CONFIG.training_of(wildcards.experiment, kind)
    return {"code": training_code(wildcards.experiment, kind), **values}


def training_flags(kind, wildcards, input):
    theory = {"theory": input.theory} if CONFIG.starts(wildcards.experiment) else {}
    return flags(CONFIG.training_of(wildcards.experiment, kind) | theory)


def checkpoint(kind, wildcards):
    run = CONFIG.run_of(**wildcards)
    return run.checkpoint(trajectory(run.experiment, run.n_train, kind))


def final_state(kind, wildcards):
    return CONFIG.run_of(**wildcards).final_state(kind)


def files_of(task):
    """A changed table makes its data sets anew; what is fetched never changes, whatever its files' dates say."""
    return ancient(task.files()) if task.fetched else task.files()


def task_files(wildcards):
    return files_of(experiment_of(wildcards).task)


def map_job(name):
    """What determines a named map beside the files that its data are made from."""
    chosen = CONFIG.maps[name]
    digest = code.of_map(chosen, chosen.network, chosen.task.name, chosen.task)
    return {"code": digest, **chosen.model_dump(exclude={"title"})}


def figure_output(figure, folder, subcategory, experiment):
    """The files of a figure, as the report shows them."""
    labels = {"figure": figure, "experiment": experiment}
    if CONFIG.shows_one_of_several(figure, experiment):
        labels["P"] = str(CONFIG.samples_of(experiment)[-1])
    return report(
        [f"{folder}/{figure}.{suffix}" for suffix in CONFIG.figures.formats],
        category="Figures",
        subcategory=subcategory,
        caption=f"../report/{figure}.rst",
        labels=labels,
    )


def figures_flags(experiment, wildcards):
    """A function, since Snakemake takes braces in a string, as in a title's formula, for wildcards."""
    return flags(CONFIG.figures_options(experiment))


def redrawn(experiment, wildcards, output):
    """Which figures are drawn for sure, for the message; derived from the output, so that it is no reason to run."""
    names = CONFIG.figures_of(experiment)
    found = outdated(names, Path(output[0]).parent, CONFIG.figures.formats)
    return ", ".join(found) or "those whose tables have changed"


# Sizes as resources; each retry asks for more.


def theory_mb(wildcards, attempt):
    values, sizes = theory_values(wildcards), task_of(wildcards).sizes()
    names = ("activation", "matrices", "levels", "chi")
    labels = sizes.n_train * sizes.n_outputs
    pairs = theory_cost.pairs(*(values[name] for name in names), labels)
    depth = experiment_of(wildcards).network.depth
    return attempt * theory_cost.theory_mb(
        *sizes, pairs, depth, values["levels"], values["activation"]
    )


def training_mb(kind, wildcards, attempt):
    chains, widths = (
        getattr(CONFIG, kind).chains,
        experiment_of(wildcards).network.widths,
    )
    sizes = task_of(wildcards).sizes()
    return attempt * training_cost.training_mb(chains, widths, *sizes)


@cache
def expected_minutes(experiment, n_train, kind):
    """Minutes of a training that goes on to the most steps allowed, without the start."""
    at, settings = CONFIG.experiments[experiment], getattr(CONFIG, kind)
    task = CONFIG.task_of(experiment, n_train).sizes()
    sizes = settings.chains, at.network.widths, task.n_train, task.dimension
    steps = settings.steps or settings.max_steps
    burn_in = min(settings.max_burn_in, settings.max_steps)
    evaluations = training_cost.evaluations(settings.sampler)
    return training_cost.expected_minutes(
        *sizes, evaluations * steps, evaluations * burn_in
    )


def training_minutes(kind, wildcards, attempt):
    expected = expected_minutes(wildcards.experiment, n_train_of(wildcards), kind)
    return training_cost.asked_minutes(expected, attempt)


def training_group(kind, wildcards):
    """Trainings that are too short for a submission of their own share one, where the profile groups."""
    expected = expected_minutes(wildcards.experiment, n_train_of(wildcards), kind)
    return "short_training" if training_cost.is_short(expected) else None
