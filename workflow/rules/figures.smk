# Figures, from what each declares. Those of an experiment are drawn by one process, which leaves what is there as it
# would be drawn again; maps stand alone. No figure needs a GPU.
# Requires <results>/tables/*.parquet, and for figures of kind "runs" theory.nc and langevin.nc
# Makes    <results>/figures/{experiment}/{figure}.{suffix}, <results>/figures/{map}.{suffix} and
#          <results>/figures/maps/{name}/phase_map.{suffix}


rule figures:
    input:
        CONFIG.figure_files(),


for experiment in CONFIG.experiments:

    rule:
        name:
            f"figures_{experiment}"
        input:
            CONFIG.figures_input(experiment),
            # as in rule checks: figures that are there are no reason to be content without tables
            "<results>/tables/plan.csv",
        output:
            # update: Snakemake would remove all before one is drawn
            **{
                figure: update(
                    figure_output(
                        figure,
                        f"<results>/figures/{experiment}",
                        experiment,
                        experiment,
                    )
                )
                for figure in CONFIG.figures_of(experiment)
            },
        log:
            f"<results>/logs/{experiment}/figures.log",
        benchmark:
            f"<results>/benchmarks/{experiment}/figures.tsv"
        localrule: True
        resources:
            mem_mb=growing(1500),
            runtime=growing(10),
        params:
            job={
                "code": {
                    figure: code.figure(figure)
                    for figure in CONFIG.figures_of(experiment)
                }
            },
            redrawn=of_job(redrawn, experiment),
            names=" ".join(CONFIG.figures_of(experiment)),
            folder=lambda wildcards, output: Path(output[0]).parent,
            # a title is a reason to run
            flags=of_job(figures_flags, experiment),
        message:
            f"Figures of {experiment}: {{params.redrawn}}"
        shell:
            "msat figures {params.names} {params.flags} --out {params.folder} > {log} 2>&1"


for drawn in CONFIG.map_figures():

    rule:
        name:
            f"figure_{drawn.name}"
        input:
            f"{drawn.tables}/{drawn.figure}.parquet",
        output:
            figure_output(
                drawn.figure, drawn.folder, "theory", drawn.title or "theory only"
            ),
        log:
            f"<results>/logs/figure_{drawn.name}.log",
        benchmark:
            f"<results>/benchmarks/figure_{drawn.name}.tsv"
        localrule: True
        resources:
            mem_mb=growing(1000),
            runtime=growing(5),
        params:
            job={"code": code.figure(drawn.figure)},
            figure=drawn.figure,
            # a title is a reason to run
            title=flags({"title": drawn.title}),
            flags=lambda wildcards, input, output: flags(
                {"tables": Path(input[0]).parent, "out": tuple(output)}
            ),
        message:
            f"Figure {drawn.name}"
        shell:
            "msat figure {params.figure} {params.title} {params.flags} > {log} 2>&1"
