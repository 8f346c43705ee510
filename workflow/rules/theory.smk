# Theory: every level, annealed over all scales of one experiment and seed (Algorithm 1); and the maps.
# Requires <results>/{experiment}{samples}/seed{seed}/data.npz
# Makes    <results>/{experiment}{samples}/seed{seed}/theory.nc, and <results>/tables/{loop_map,finite_width}.{csv,parquet},
#          and <results>/maps/{name}/phase_map.{csv,parquet}


rule theory:
    input:
        list(dict.fromkeys(run.theory for run in RUNS)),


rule solve:
    input:
        data="<results>/{experiment}{samples}/seed{seed}/data.npz",
    output:
        theory="<results>/{experiment}{samples}/seed{seed}/theory.nc",
    log:
        "<results>/logs/{experiment}{samples}/seed{seed}/theory.log",
    benchmark:
        "<results>/benchmarks/{experiment}{samples}/seed{seed}/theory.tsv"
    group:
        "theory"
    resources:
        mem_mb=of_job(theory_mb),
        runtime=growing(10),
    params:
        job=lambda wildcards: {
            "code": code.theory(
                experiment_of(wildcards).network.activation,
                CONFIG.levels_of(wildcards.experiment),
                experiment_of(wildcards).task.n_outputs,
                experiment_of(wildcards).network.depth,
            ),
            **theory_values(wildcards),
        },
        flags=lambda wildcards: flags(theory_values(wildcards)),
    message:
        "Theory of {wildcards.experiment}{wildcards.samples}, seed {wildcards.seed}, all scales"
    shell:
        "msat solve --data {input.data} {params.flags} --strict --seed {wildcards.seed}"
        " --label {wildcards.experiment} --out {output.theory} > {log} 2>&1"


for name in MAPS:

    rule:
        name:
            name
        input:
            key_file(name, getattr(CONFIG, name).model_dump()),
        output:
            csv=report(
                f"<results>/tables/{name}.csv",
                category="Tables",
                caption="../report/tables.rst",
            ),
            parquet=f"<results>/tables/{name}.parquet",
        log:
            f"<results>/logs/{name}.log",
        benchmark:
            f"<results>/benchmarks/{name}.tsv"
        resources:
            mem_mb=growing(500),
            runtime=growing(10),
        params:
            job={"code": code.maps(), **getattr(CONFIG, name).model_dump()},
            command=name.replace("_", "-"),
            flags=flags(getattr(CONFIG, name).model_dump()),
            folder=lambda wildcards, output: Path(output.csv).parent,
        message:
            type(CONFIG).model_fields[name].description.rstrip(".")
        shell:
            "msat {params.command} {params.flags} --out {params.folder} > {log} 2>&1"


for name in CONFIG.maps:

    rule:
        name:
            f"map_{name}"
        input:
            files_of(CONFIG.maps[name].task),
            key_file(f"map_{name}", CONFIG.maps[name].model_dump(exclude={"title"})),
        output:
            csv=report(
                f"<results>/maps/{name}/phase_map.csv",
                category="Tables",
                caption="../report/tables.rst",
            ),
            parquet=f"<results>/maps/{name}/phase_map.parquet",
        log:
            f"<results>/logs/map_{name}.log",
        benchmark:
            f"<results>/benchmarks/map_{name}.tsv"
        resources:
            mem_mb=growing(CONFIG.map_mb(name)),
            runtime=growing(120),
        params:
            job=map_job(name),
            task=CONFIG.maps[name].task.name,
            flags=flags(CONFIG.map_options(name)),
            folder=lambda wildcards, output: Path(output.csv).parent,
        message:
            f"Map {name} of the theory: {CONFIG.maps[name].x} and {CONFIG.maps[name].y}"
        shell:
            "msat map {params.task} {params.flags} --out {params.folder} > {log} 2>&1"
