# Tables: tidy CSV and parquet over all experiments, seeds and scales.
# Requires every theory.nc and langevin.nc
# Makes    <results>/tables/{theory,langevin,comparison,samples,chains,components,evidence,evidence_maximum,checks}.{csv,parquet}


rule tables:
    input:
        expand(
            "<results>/tables/{table}.{suffix}",
            table=TABLES,
            suffix=("csv", "parquet"),
        ),


rule collect:
    input:
        theory=sorted(
            {
                f"<results>/{experiment}/seed{seed}/theory.nc"
                for experiment, seed, _ in GRID
            }
        ),
        langevin=[
            f"<results>/{experiment}/seed{seed}/chi{chi}/langevin.nc"
            for experiment, seed, chi in GRID
        ],
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
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        job=job(["msat.tables", "msat.checks"]),
        folder=lambda wildcards, output: Path(output.csv[0]).parent,
        theory=lambda wildcards, input: " ".join(
            f"--theory {path}" for path in input.theory
        ),
        langevin=lambda wildcards, input: " ".join(
            f"--langevin {path}" for path in input.langevin
        ),
    message:
        "Tables of all results"
    shell:
        "msat collect {params.theory} {params.langevin} --out {params.folder} > {log} 2>&1"
