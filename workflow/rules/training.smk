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
    params:
        job=lambda wildcards: job(
            ["msat.run_langevin"],
            **network_of(wildcards.experiment),
            **CONFIG.langevin.model_dump(),
        ),
        flags=lambda wildcards: flags(
            network_of(wildcards.experiment) | CONFIG.langevin.model_dump()
        ),
        # not an output: it survives a failed job, and the retry resumes from it
        checkpoints=f"{CONFIG.results}/checkpoints",
    message:
        "Training of {wildcards.experiment}, seed {wildcards.seed}, chi = {wildcards.chi}"
    shell:
        "mkdir -p {params.checkpoints};"
        " msat train --data {input.data} {params.flags} --chi {wildcards.chi} --threads {threads}"
        " --seed {wildcards.seed} --label {wildcards.experiment} --checkpoint"
        " {params.checkpoints}/{wildcards.experiment}-seed{wildcards.seed}-chi{wildcards.chi}.pt"
        " --out {output.langevin} > {log} 2>&1"
