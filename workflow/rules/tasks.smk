# Data sets, and the files of MNIST.
# Requires nothing but the config, and the table of a task of that name.
# Makes    <results>/{experiment}{samples}/seed{seed}/data.npz
#          the four files of MNIST in mnist.folder: `snakemake mnist`, on a machine with a network

from msat.tasks.mnist_files import FILES as MNIST_FILES


localrules:
    mnist,


rule mnist:
    output:
        [
            ensure(f"{CONFIG.mnist.folder}/{name}", sha256=checksum)
            for name, checksum in MNIST_FILES.items()
        ],
    log:
        "<results>/logs/mnist.log",
    # no benchmark file: files that came by `msat mnist` have none, and would be removed and got again for it
    retries: 0  # the sources were tried in turn already
    resources:
        mem_mb=500,
        runtime=15,
    params:
        job=MNIST_FILES,
        folder=lambda wildcards, output: Path(output[0]).parent,
        # a function of the output, so that another source is no reason to get the files again
        sources=lambda wildcards, output: flags({"source": tuple(CONFIG.mnist.sources)}),
    message:
        "Files of MNIST"
    shell:
        "msat mnist --out {params.folder} {params.sources} > {log} 2>&1"


rule task:
    input:
        task_files,
    output:
        data="<results>/{experiment}{samples}/seed{seed}/data.npz",
    log:
        "<results>/logs/{experiment}{samples}/seed{seed}/task.log",
    benchmark:
        "<results>/benchmarks/{experiment}{samples}/seed{seed}/task.tsv"
    group:
        "task"
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        job=of_job(task_job),
        name=lambda wildcards: experiment_of(wildcards).task.name,
        flags=lambda wildcards: flags(
            CONFIG.task_options(wildcards.experiment, n_train_of(wildcards))
        ),
    message:
        "Data set of {wildcards.experiment}{wildcards.samples}, seed {wildcards.seed}"
    shell:
        "msat task {params.name} {params.flags} --seed {wildcards.seed} --out {output.data} > {log} 2>&1"
