# Figures, one rule a figure, from what each declares: figures of tables and of result files, one set for each
# experiment, and maps, which stand alone. No figure needs a GPU.
# Requires <results>/tables/*.parquet, and for figures of kind "runs" theory.nc and langevin.nc
# Makes    <results>/figures/{experiment}/{figure}.{suffix} and <results>/figures/{map}.{suffix}


rule figures:
    input:
        CONFIG.figure_files(),


for figure in figures.NAMES:
    alone = figures.declaration(figure).kind == "map"
    place = "" if alone else "{experiment}/"
    logged = f"figure_{figure}" if alone else f"{{experiment}}/{figure}"

    rule:
        name:
            f"figure_{figure}"
        input:
            of_job(figure_input, figure),
        output:
            report(
                [
                    f"<results>/figures/{place}{figure}.{suffix}"
                    for suffix in CONFIG.figures.formats
                ],
                category="Figures",
                subcategory="theory" if alone else "{experiment}",
                caption=f"../report/{figure}.rst",
                labels={
                    "figure": figure,
                    "experiment": "theory only" if alone else "{experiment}",
                },
            ),
        log:
            f"<results>/logs/{logged}.log",
        benchmark:
            f"<results>/benchmarks/{logged}.tsv"
        localrule: True
        resources:
            mem_mb=growing(1000),
            runtime=growing(5),
        params:
            job={"code": code.figure(figure)},
            figure=figure,
            flags=of_job(figure_flags, figure),
        message:
            f"Figure {figure}" + ("" if alone else " of {wildcards.experiment}")
        shell:
            "msat figure {params.figure} {params.flags} > {log} 2>&1"
