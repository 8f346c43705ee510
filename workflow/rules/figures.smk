# Figures, one rule a figure and one set for each experiment; they read tables only, so no figure needs a GPU.
# Requires <results>/tables/*.parquet
# Makes    <results>/figures/{experiment}/{figure}.{suffix}


rule figures:
    input:
        figure_files(),


for figure, tables in FIGURES.items():

    rule:
        name:
            f"figure_{figure}"
        input:
            expand("<results>/tables/{table}.parquet", table=tables),
        output:
            report(
                expand(
                    "<results>/figures/{{experiment}}/{figure}.{suffix}",
                    figure=figure,
                    suffix=CONFIG.figures.formats,
                ),
                category="Figures",
                subcategory="{experiment}",
                caption=f"../report/{figure}.rst",
                labels={"figure": figure, "experiment": "{experiment}"},
            ),
        log:
            f"<results>/logs/{{experiment}}/{figure}.log",
        benchmark:
            f"<results>/benchmarks/{{experiment}}/{figure}.tsv"
        resources:
            mem_mb=lambda wildcards, attempt: 1000 * attempt,
            runtime=lambda wildcards, attempt: 5 * attempt,
        params:
            job=figure_job(figure),
            figure=figure,
            tables=lambda wildcards, input: Path(input[0]).parent,
            title=lambda wildcards: CONFIG.experiments[wildcards.experiment].title,
            out=lambda wildcards, output: " ".join(f"--out {path}" for path in output),
        message:
            f"Figure {figure} of {{wildcards.experiment}}"
        shell:
            "msat figure {params.figure} --tables {params.tables} --experiment {wildcards.experiment}"
            " --title {params.title:q} {params.out} > {log} 2>&1"
