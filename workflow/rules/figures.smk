# Figures, one set for each experiment; they read tables only, so no figure needs a GPU.
# Requires <results>/tables/*.parquet
# Makes    <results>/figures/{experiment}/{figure}.{suffix}


rule figures:
    input:
        figure_files(),


rule figure:
    input:
        lambda wildcards: [
            f"<results>/tables/{table}.parquet" for table in FIGURES[wildcards.figure]
        ],
    output:
        report(
            expand(
                "<results>/figures/{{experiment}}/{{figure}}.{suffix}",
                suffix=CONFIG.figures.formats,
            ),
            category="Figures",
            subcategory="{experiment}",
            caption="../report/{figure}.rst",
            labels={"figure": "{figure}", "experiment": "{experiment}"},
        ),
    log:
        "<results>/logs/{experiment}/{figure}.log",
    benchmark:
        "<results>/benchmarks/{experiment}/{figure}.tsv"
    wildcard_constraints:
        figure="|".join(FIGURES),
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 5 * attempt,
    params:
        job=lambda wildcards: job(
            [f"msat.figures.{wildcards.figure}", "msat.figures"],
            title=CONFIG.experiments[wildcards.experiment].title,
        ),
        tables=f"{CONFIG.results}/tables",
        title=lambda wildcards: CONFIG.experiments[wildcards.experiment].title,
        out=lambda wildcards, output: " ".join(f"--out {path}" for path in output),
    message:
        "Figure {wildcards.figure} of {wildcards.experiment}"
    shell:
        "msat figure {wildcards.figure} --tables {params.tables} --experiment {wildcards.experiment}"
        " --title {params.title:q} {params.out} > {log} 2>&1"
