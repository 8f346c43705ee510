# Training: one ensemble of Langevin chains for each experiment, seed and scale.
# Requires <results>/{experiment}/seed{seed}/data.npz
# Makes    <results>/{experiment}/seed{seed}/chi{chi}/langevin.nc


rule training:
    input:
        [run.langevin for run in RUNS],


rule train:
    input:
        data="<results>/{experiment}/seed{seed}/data.npz",
    output:
        langevin="<results>/{experiment}/seed{seed}/chi{chi}/langevin.nc",
    log:
        "<results>/logs/{experiment}/seed{seed}/chi{chi}/train.log",
    benchmark:
        "<results>/benchmarks/{experiment}/seed{seed}/chi{chi}/train.tsv"
    group:
        training_group
    threads: 1
    resources:
        mem_mb=training_mb,
        runtime=lambda wildcards, attempt: training_cost.asked_minutes(
            expected_minutes(wildcards.experiment), attempt
        ),
        gpu=1 if ON_GPU else 0,
        # how trainings are saved changes no result: as a param, a change of it would run them again
        saving=flags(SAVING),
    params:
        job=lambda wildcards: {
            "code": code.training(experiment_of(wildcards).network.activation),
            **CONFIG.training_of(wildcards.experiment),
        },
        flags=lambda wildcards: flags(CONFIG.training_of(wildcards.experiment)),
        # no outputs: checkpoint and final state survive a failed job and the removal of an old result
        checkpoint=lambda wildcards: CONFIG.run_of(**wildcards).checkpoint(
            trajectory(wildcards.experiment)
        ),
        final_state=lambda wildcards: CONFIG.run_of(**wildcards).final_state,
    message:
        "Training of {wildcards.experiment}, seed {wildcards.seed}, chi = {wildcards.chi}"
    shell:
        # exec: a signal that the cluster sends must find msat and no shell that dies of it
        "mkdir -p $(dirname {params.checkpoint}) $(dirname {params.final_state});"
        " exec msat train --data {input.data} {params.flags} --chi {wildcards.chi} --threads {threads}"
        " --seed {wildcards.seed} --label {wildcards.experiment} --checkpoint {params.checkpoint}"
        " --final-state {params.final_state} {resources.saving} --out {output.langevin} > {log} 2>&1"
