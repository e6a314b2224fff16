"""A GPU where a job computes on networks, memory and minutes: what is asked of a cluster.

Minutes and memory follow from the study and grow with every attempt. Only a cluster is asked, so
where jobs run on this machine nothing is estimated, which would take importing torch.
"""

from thin_ice.study import sizing


def resources_of(stage):
    """The resources of the rule that runs a stage."""
    on_gpu = stage in sizing.ON_GPU
    asked = {
        "gpu": int(on_gpu),
        "mem_mb": lambda wildcards, attempt: sizing.mem_mb(
            STUDY, SITE, stage, _of(stage, wildcards), attempt
        ),
        "runtime": lambda wildcards, attempt: (
            sizing.minutes(STUDY, SITE, stage, _of(stage, wildcards), attempt)
            if _plans_for_a_cluster()
            else None
        ),
    }
    return asked | {name: _told(word) for name, word in SITE.slurm(on_gpu).items()}


def _told(word):
    """A word for Slurm alone."""
    return lambda wildcards: word if _plans_for_a_cluster() else None


def _of(stage, wildcards):
    """The network that a job computes on, or the run that it analyses; none for all runs."""
    if stage not in sizing.ON_GPU:
        return wildcards.get("run")
    variants = [getattr(wildcards, name, None) for name in ("variant", "tuned", "pruned")]
    return network_of(wildcards, next(filter(None, variants), "dense"))


def _plans_for_a_cluster():
    """Whether this process hands jobs to a scheduler, or in a dry run would: a dry run has another
    executor, and of the one that it stands for keeps that jobs are threads here.
    """
    if not workflow.is_main_process:
        return False
    return workflow.non_local_exec or bool(workflow.execution_settings.use_threads)
