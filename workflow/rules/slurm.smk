# Before the first job is submitted: does SLURM accept the partition, account and GPU of the profile?
# Requires nothing; acts only where the executor is slurm, and not in a dry run.

import shlex
import subprocess


def slurm_request(job):
    """What a job asks of SLURM beside its size, as options of sbatch."""
    options = {
        "partition": job.resources.get("slurm_partition"),
        "account": job.resources.get("slurm_account"),
        "qos": job.resources.get("qos"),
        "constraint": job.resources.get("constraint"),
        "gres": job.resources.get("gres"),
    }
    if job.resources.get("gpu"):
        model = job.resources.get("gpu_model")
        options["gpus"] = f"{model}:1" if model else "1"
    extra = shlex.split(job.resources.get("slurm_extra") or "")
    return (*(f"--{name}={value}" for name, value in options.items() if value), *extra)


onstart:
    if workflow.executor_plugin.name == "slurm":
        remote = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
        for request in dict.fromkeys(slurm_request(job) for job in remote):
            call = ["sbatch", "--test-only", "--time=1", *request, "--wrap=true"]
            try:
                asked = subprocess.run(call, capture_output=True, text=True)
            except FileNotFoundError:
                raise WorkflowError(
                    "profiles/slurm needs SLURM: there is no sbatch on this machine"
                ) from None
            if asked.returncode:
                raise WorkflowError(
                    f"SLURM refuses what profiles/slurm asks for ({' '.join(request)}):\n"
                    f"{asked.stderr.strip()}\nNothing was submitted."
                )
