# Tables: tidy CSV and parquet over all experiments, seeds and scales.
# Requires every theory.nc, langevin.nc and reference.nc
# Makes    <results>/tables/plan.{csv,json}: the runs, and what their results must be; and
#          <results>/tables/{theory,langevin,reference,comparison,samples,chains,components,half_learned,evidence,evidence_maximum,checks}.{csv,parquet}


rule tables:
    input:
        expand(
            "<results>/tables/{table}.{suffix}",
            table=TABLES,
            suffix=("csv", "parquet"),
        ),


rule plan:
    input:
        key_file("plan", [CONFIG.plan(), CONFIG.keys()]),
    output:
        runs="<results>/tables/plan.csv",
        key="<results>/tables/plan.json",
    log:
        "<results>/logs/plan.log",
    benchmark:
        "<results>/benchmarks/plan.tsv"
    # what has finished can be looked at from the start (docs/cluster.md)
    priority: 100
    localrule: True
    params:
        job=digest({"runs": CONFIG.plan(), "keys": CONFIG.keys()}),
    message:
        "List of all runs, and what their results must be"
    run:
        write_plan(output)


rule collect:
    input:
        plan="<results>/tables/plan.csv",
        # which results are held against: msat reads it beside the list
        key="<results>/tables/plan.json",
        theory=sorted({run.theory for run in RUNS}),
        langevin=[run.langevin for run in RUNS],
        reference=[run.reference for run in CONFIG.references()],
    output:
        csv=report(
            expand("<results>/tables/{table}.csv", table=TABLES),
            category="Tables",
            caption="../report/tables.rst",
        ),
        parquet=expand("<results>/tables/{table}.parquet", table=TABLES),
    log:
        "<results>/logs/collect.log",
    benchmark:
        "<results>/benchmarks/collect.tsv"
    localrule: True
    threads: 4
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        job={"code": code.tables()},
        folder=lambda wildcards, output: Path(output.csv[0]).parent,
    message:
        "Tables of all results"
    shell:
        # one thread in each process, where Snakemake would let each use all
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 msat collect --list {input.plan} --processes {threads} --out {params.folder} > {log} 2>&1"
