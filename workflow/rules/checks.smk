# Checks: the run fails if `exact` and Langevin disagree, since then one of them is wrong.
# Requires <results>/tables/checks.parquet
# Makes    <results>/checks.txt


rule checks:
    input:
        table="<results>/tables/checks.parquet",
        key=key_file("checks", CONFIG.checks.model_dump()),
        # where `collect` refuses a result there are no tables, and this is what then asks for them at the next call
        plan="<results>/tables/plan.csv",
    output:
        summary=report(
            "<results>/checks.txt", category="Checks", caption="../report/checks.rst"
        ),
    log:
        "<results>/logs/checks.log",
    benchmark:
        "<results>/benchmarks/checks.tsv"
    localrule: True
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        job={"code": code.checks(), **CONFIG.checks.model_dump()},
        flags=flags(CONFIG.checks.model_dump()),
    message:
        "Does training confirm the theory?"
    shell:
        "msat check {input.table} {params.flags} --out {output.summary} > {log} 2>&1"
