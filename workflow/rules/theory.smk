# Theory: every level, annealed over all scales of one experiment and seed (Algorithm 1).
# Requires <results>/{experiment}/seed{seed}/data.npz
# Makes    <results>/{experiment}/seed{seed}/theory.nc


rule theory:
    input:
        expand(
            "<results>/{experiment}/seed{seed}/theory.nc",
            zip,
            experiment=[e for e, _, _ in GRID],
            seed=[s for _, s, _ in GRID],
        ),


rule solve:
    input:
        data="<results>/{experiment}/seed{seed}/data.npz",
    output:
        theory="<results>/{experiment}/seed{seed}/theory.nc",
    log:
        "<results>/logs/{experiment}/seed{seed}/theory.log",
    benchmark:
        "<results>/benchmarks/{experiment}/seed{seed}/theory.tsv"
    resources:
        mem_mb=theory_mb,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        job=lambda wildcards: job(
            ["msat.run_theory"],
            **network_of(wildcards.experiment),
            chi=scales_of(wildcards.experiment),
            levels=list(CONFIG.theory.levels),
        ),
        chi=lambda wildcards: ",".join(scales_of(wildcards.experiment)),
        levels=",".join(CONFIG.theory.levels),
        flags=lambda wildcards: flags(network_of(wildcards.experiment)),
    message:
        "Theory of {wildcards.experiment}, seed {wildcards.seed}, all scales"
    shell:
        "msat solve --data {input.data} {params.flags} --chi {params.chi} --levels {params.levels}"
        " --seed {wildcards.seed} --label {wildcards.experiment} --out {output.theory} > {log} 2>&1"
