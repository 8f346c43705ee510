# Figures, one rule a figure and one set for each experiment; they read tables only, so no figure needs a GPU.
# Requires <results>/tables/*.parquet
# Makes    <results>/figures/{experiment}/{figure}.{suffix}


rule figures:
    input:
        figure_files(),


for figure, tables in TABLE_FIGURES.items():

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
        localrule: True
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


rule figure_kernels:
    input:
        theory=kernel_theory,
        langevin=kernel_runs,
    output:
        report(
            expand(
                "<results>/figures/{{experiment}}/kernels.{suffix}",
                suffix=CONFIG.figures.formats,
            ),
            category="Figures",
            subcategory="{experiment}",
            caption="../report/kernels.rst",
            labels={"figure": "kernels", "experiment": "{experiment}"},
        ),
    log:
        "<results>/logs/{experiment}/kernels.log",
    benchmark:
        "<results>/benchmarks/{experiment}/kernels.tsv"
    localrule: True
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 5 * attempt,
    params:
        job=figure_job("kernels"),
        langevin=lambda wildcards, input: " ".join(
            f"--langevin {path}" for path in input.langevin
        ),
        title=lambda wildcards: CONFIG.experiments[wildcards.experiment].title,
        out=lambda wildcards, output: " ".join(f"--out {path}" for path in output),
    message:
        "Figure kernels of {wildcards.experiment}"
    shell:
        "msat figure kernels --theory {input.theory} {params.langevin}"
        " --title {params.title:q} {params.out} > {log} 2>&1"


for figure in MAP_FIGURES:

    rule:
        name:
            f"figure_{figure}"
        input:
            f"<results>/tables/{figure}.parquet",
        output:
            report(
                expand(
                    "<results>/figures/{figure}.{suffix}",
                    figure=figure,
                    suffix=CONFIG.figures.formats,
                ),
                category="Figures",
                subcategory="theory",
                caption=f"../report/{figure}.rst",
                labels={"figure": figure, "experiment": "theory only"},
            ),
        log:
            f"<results>/logs/figure_{figure}.log",
        benchmark:
            f"<results>/benchmarks/figure_{figure}.tsv"
        localrule: True
        resources:
            mem_mb=lambda wildcards, attempt: 1000 * attempt,
            runtime=lambda wildcards, attempt: 5 * attempt,
        params:
            job=job([f"msat.figures.{figure}", "msat.figures"]),
            figure=figure,
            tables=lambda wildcards, input: Path(input[0]).parent,
            out=lambda wildcards, output: " ".join(f"--out {path}" for path in output),
        message:
            f"Figure {figure}"
        shell:
            "msat figure {params.figure} --tables {params.tables} {params.out} > {log} 2>&1"
