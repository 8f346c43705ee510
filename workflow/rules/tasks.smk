# Data sets.
# Requires nothing but the config.
# Makes    <results>/{experiment}/seed{seed}/data.npz


rule task:
    output:
        data="<results>/{experiment}/seed{seed}/data.npz",
    log:
        "<results>/logs/{experiment}/seed{seed}/task.log",
    benchmark:
        "<results>/benchmarks/{experiment}/seed{seed}/task.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 500 * attempt,
        runtime=lambda wildcards, attempt: 5 * attempt,
    params:
        job=lambda wildcards: job(
            [f"msat.tasks.{task_of(wildcards.experiment)['name']}", "msat.store"],
            **task_of(wildcards.experiment),
        ),
        name=lambda wildcards: task_of(wildcards.experiment)["name"],
        flags=lambda wildcards: flags(
            {k: v for k, v in task_of(wildcards.experiment).items() if k != "name"}
        ),
    message:
        "Data set of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "msat task {params.name} {params.flags} --seed {wildcards.seed} --out {output.data} > {log} 2>&1"
