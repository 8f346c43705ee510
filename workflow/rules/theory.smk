# Theory: every level, annealed over all scales of one experiment and seed (Algorithm 1).
# Requires <results>/{experiment}/seed{seed}/data.npz
# Makes    <results>/{experiment}/seed{seed}/theory.nc, and <results>/tables/{loop_map,finite_width}.{csv,parquet}


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
    group:
        "theory"
    resources:
        mem_mb=theory_mb,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        job=lambda wildcards: job(
            ["msat.stages.theory"],
            **network_of(wildcards.experiment),
            chi=scales_of(wildcards.experiment),
            levels=CONFIG.levels_of(wildcards.experiment),
        ),
        chi=lambda wildcards: ",".join(scales_of(wildcards.experiment)),
        levels=lambda wildcards: ",".join(CONFIG.levels_of(wildcards.experiment)),
        flags=lambda wildcards: flags(network_of(wildcards.experiment)),
    message:
        "Theory of {wildcards.experiment}, seed {wildcards.seed}, all scales"
    shell:
        "msat solve --data {input.data} {params.flags} --chi {params.chi} --levels {params.levels}"
        " --strict --seed {wildcards.seed} --label {wildcards.experiment} --out {output.theory} > {log} 2>&1"


rule loop_map:
    output:
        csv=report(
            "<results>/tables/loop_map.csv",
            category="Tables",
            caption="../report/tables.rst",
        ),
        parquet="<results>/tables/loop_map.parquet",
    log:
        "<results>/logs/loop_map.log",
    benchmark:
        "<results>/benchmarks/loop_map.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 500 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        job=job(["msat.stages.loop_map", "msat.tables.rows"], **CONFIG.loop_map.model_dump()),
        flags=flags(CONFIG.loop_map.model_dump()),
        folder=lambda wildcards, output: Path(output.csv).parent,
    message:
        "Map of where one_loop exists"
    shell:
        "msat loop-map {params.flags} --out {params.folder} > {log} 2>&1"


rule finite_width:
    output:
        csv=report(
            "<results>/tables/finite_width.csv",
            category="Tables",
            caption="../report/tables.rst",
        ),
        parquet="<results>/tables/finite_width.parquet",
    log:
        "<results>/logs/finite_width.log",
    benchmark:
        "<results>/benchmarks/finite_width.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 500 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        job=job(
            ["msat.stages.finite_width", "msat.tables.rows"], **CONFIG.finite_width.model_dump()
        ),
        flags=flags(CONFIG.finite_width.model_dump()),
        folder=lambda wildcards, output: Path(output.csv).parent,
    message:
        "Errors of the levels against the width"
    shell:
        "msat finite-width {params.flags} --out {params.folder} > {log} 2>&1"
