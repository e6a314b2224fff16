# Thin Ice: dense robust training -> pruning -> robust fine-tuning -> attacks -> thin-ice analysis.
#
# A rule runs one command of the library, `python -m thin_ice STAGE --job JSON ...`, which is
# complete: copied from a log, it makes the artifact again without Snakemake. The only parameter of
# a rule is that JSON: what the command reads of the study, and the code it can reach.

import gc
import os
import signal
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")

sys.path.insert(0, f"{workflow.basedir}/workflow")

from thin_ice import checkout
from thin_ice.commands.watch import failures
from thin_ice.errors import ThinIceError
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from
from thin_ice.study.pipelines import PRUNES
from thin_ice.study.plan import DENSE_AGAIN, Network
from thin_ice.study.site import site_of
from thin_ice.study.watching import standings

# Planning makes objects by the million, and they stay; by default Python looks through all of them
# for circles to free every 700 new ones, which takes a seventh of the time of a dry run.
gc.set_threshold(50_000, 20, 10)

checkout.use_in_jobs()

# On a node Snakemake only waits for the job, whom alone the warning before its time limit concerns.
if not workflow.is_main_process:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)

# With --sdm conda or --sdm apptainer a job's software comes from envs/, its library from here.
SOFTWARE = {str(method) for method in workflow.deployment_settings.deployment_method}
if SOFTWARE:
    shell.prefix(checkout.before_commands(SOFTWARE))


container: f"{workflow.basedir}/envs/thin-ice.sif"


report: "workflow/report/workflow.rst"


# A study file given with --configfile replaces the default study; it is not merged over it.
if not workflow.config_settings.configfiles:

    configfile: "config.yaml"


try:
    STUDY = study_from(config)
    SITE = site_of(workflow.basedir, os.environ)
except ThinIceError as error:
    raise WorkflowError(str(error)) from None

STUDY_FOLDER = STUDY.folder


wildcard_constraints:
    dataset="[a-z0-9_]+",
    run="[a-z0-9_]+-[a-z0-9_]+-[a-z0-9_]+",
    seed=r"\d+",
    variant=r"dense|dense_again|[a-z0-9_]+-0\.\d+",
    pruned=r"[a-z0-9_]+-0\.\d+",
    tuned=r"dense_again|[a-z0-9_]+-0\.\d+",
    shard=r"\d+",


# On a cluster these run where Snakemake runs: a download needs the login node's network.
localrules:
    all,
    study,
    dataset,


include: "workflow/rules/common.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/start.smk"


onstart:
    begin()


onsuccess:
    end()


# What failed is shown with the end of its log, also where a job was killed without a word.
onerror:
    end()
    if workflow.is_main_process:
        found = standings(Path(STUDY_FOLDER), planned_jobs(STUDY))
        failed = list(failures(found, ended=True))
        if failed:
            logger.error("\n".join(failed))


rule all:
    input:
        f"{STUDY_FOLDER}/study/study.yaml",
        f"{STUDY_FOLDER}/report/report.html",


include: "workflow/rules/reruns.smk"
include: "workflow/rules/1-study.smk"
include: "workflow/rules/2-data.smk"
include: "workflow/rules/3-dense.smk"
include: "workflow/rules/4-after-training.smk"
include: "workflow/rules/4-before-training.smk"
include: "workflow/rules/4-during-training.smk"
include: "workflow/rules/5-selection.smk"
include: "workflow/rules/6-evaluate.smk"
include: "workflow/rules/7-certify.smk"
include: "workflow/rules/7-compact.smk"
include: "workflow/rules/7-distances.smk"
include: "workflow/rules/7-indicators.smk"
include: "workflow/rules/7-rivals.smk"
include: "workflow/rules/7-sensitivity.smk"
include: "workflow/rules/7-thin-ice.smk"
include: "workflow/rules/8-analyse.smk"
include: "workflow/rules/9-report.smk"
