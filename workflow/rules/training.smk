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
    threads: 1
    resources:
        mem_mb=training_mb,
        runtime=training_minutes,
        gpu=1 if ON_GPU else 0,
    params:
        job=lambda wildcards: training_job(wildcards.experiment),
        flags=lambda wildcards: flags(
            network_of(wildcards.experiment) | CONFIG.langevin.model_dump()
        ),
        # not an output: it survives a failed job, and the retry resumes from it. Its name holds a digest of
        # the job, so that a changed job never meets the checkpoint of the old one.
        checkpoint=checkpoint_of,
    message:
        "Training of {wildcards.experiment}, seed {wildcards.seed}, chi = {wildcards.chi}"
    shell:
        "mkdir -p $(dirname {params.checkpoint});"
        " msat train --data {input.data} {params.flags} --chi {wildcards.chi} --threads {threads}"
        " --seed {wildcards.seed} --label {wildcards.experiment} --checkpoint {params.checkpoint}"
        " --out {output.langevin} > {log} 2>&1"
