# msat: theory of feature learning against Langevin-trained networks, from kernels to features.
# The stages in run order: tasks -> theory and training -> tables -> checks -> figures.
# Menu: all (default), theory, training, tables, checks, figures, mnist.

from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


pathvars:
    results=str(config.get("results", "results")),


report: "workflow/report/workflow.rst"


container: "docker://python:3.11"


include: "workflow/rules/common.smk"


localrules:
    all,
    theory,
    training,
    tables,
    figures,


rule all:
    default_target: True
    input:
        CONFIG.figure_files(),
        "<results>/checks.txt",


include: "workflow/rules/tasks.smk"
include: "workflow/rules/theory.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/checks.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/slurm.smk"
