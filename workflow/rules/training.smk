# Training: one ensemble of Langevin chains for each experiment, seed and scale.
# Requires <results>/{experiment}/seed{seed}/data.npz
# Makes    <results>/{experiment}/seed{seed}/chi{chi}/langevin.nc


rule training:
    input:
        [
            f"<results>/{experiment}/seed{seed}/chi{chi}/langevin.nc"
            for experiment, seed, chi in GRID
        ],


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
        runtime=training_minutes,
        gpu=1 if ON_GPU else 0,
        # how trainings are saved changes no result: as a param, a change of it would run them again
        saving=SAVING,
    params:
        job=lambda wildcards: training_job(wildcards.experiment),
        flags=lambda wildcards: flags(
            network_of(wildcards.experiment) | CONFIG.langevin.model_dump()
        ),
        # no outputs: checkpoint and final state survive a failed job and the removal of an old result
        checkpoint=checkpoint_of,
        final_state=final_state_of,
    message:
        "Training of {wildcards.experiment}, seed {wildcards.seed}, chi = {wildcards.chi}"
    shell:
        # exec: a signal that the cluster sends must find msat and no shell that dies of it
        "mkdir -p $(dirname {params.checkpoint}) $(dirname {params.final_state});"
        " exec msat train --data {input.data} {params.flags} --chi {wildcards.chi} --threads {threads}"
        " --seed {wildcards.seed} --label {wildcards.experiment} --checkpoint {params.checkpoint}"
        " --final-state {params.final_state} {resources.saving} --out {output.langevin} > {log} 2>&1"
