# Training: one ensemble of chains for each experiment, seed and scale, and for some a second one by another sampler.
# Requires <results>/{experiment}{samples}/seed{seed}/data.npz, and theory.nc where chains are to start from its neurons
# Makes    <results>/{experiment}{samples}/seed{seed}/chi{chi}/langevin.nc, and reference.nc beside it


rule training:
    input:
        [run.langevin for run in RUNS],
        [run.reference for run in CONFIG.references()],


for kind, name in (("langevin", "train"), ("reference", "reference")):

    rule:
        name:
            name
        input:
            unpack(of_job(training_input)),
        output:
            result=f"<results>/{{experiment}}{{samples}}/seed{{seed}}/chi{{chi}}/{kind}.nc",
        log:
            f"<results>/logs/{{experiment}}{{samples}}/seed{{seed}}/chi{{chi}}/{name}.log",
        benchmark:
            f"<results>/benchmarks/{{experiment}}{{samples}}/seed{{seed}}/chi{{chi}}/{name}.tsv"
        group:
            of_job(training_group, kind)
        threads: 1
        resources:
            mem_mb=of_job(training_mb, kind),
            runtime=of_job(training_minutes, kind),
            gpu=int(on_gpu(kind)),
            # how trainings are saved changes no result: as a param, a change of it would run them again
            saving=flags(SAVING),
        params:
            job=of_job(training_job, kind),
            flags=of_job(training_flags, kind),
            # no outputs: checkpoint and final state survive a failed job and the removal of an old result
            checkpoint=of_job(checkpoint, kind),
            final_state=of_job(final_state, kind),
        message:
            f"Training ({kind})"
            + " of {wildcards.experiment}{wildcards.samples}, seed {wildcards.seed}, chi = {wildcards.chi}"
        shell:
            # exec: a signal that the cluster sends must find msat and no shell that dies of it
            "mkdir -p $(dirname {params.checkpoint}) $(dirname {params.final_state});"
            " exec msat train --data {input.data} {params.flags} --chi {wildcards.chi} --threads {threads}"
            " --seed {wildcards.seed} --label {wildcards.experiment} --checkpoint {params.checkpoint}"
            " --final-state {params.final_state} {resources.saving} --out {output.result} > {log} 2>&1"
