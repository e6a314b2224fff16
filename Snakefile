# Thin Ice: dense robust training -> pruning -> robust fine-tuning -> attacks -> thin-ice analysis.
#
# A rule runs one command of the library, `python -m thin_ice STAGE --job JSON ...`, which is
# complete: copied from a log, it makes the artifact again without Snakemake. The only parameter of
# a rule is that JSON: what the command reads of the study, and the code it can reach.

import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")

# Jobs run this checkout's library in the interpreter that runs Snakemake, also on cluster nodes
# and where the environment is not activated; many share one terminal, so none draws a bar.
LIBRARY = Path(workflow.basedir) / "workflow"
sys.path.insert(0, str(LIBRARY))
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(LIBRARY), os.environ.get("PYTHONPATH")])
)
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ["THIN_ICE_PROGRESS"] = "lines"

from thin_ice.study.load import study_from
from thin_ice.study.plan import Network
from thin_ice.study.schema import BadStudy

# A study file given with --configfile replaces the default study; it is not merged over it.
if not workflow.config_settings.configfiles:

    configfile: "config.yaml"


try:
    STUDY = study_from(config)
except BadStudy as error:
    raise WorkflowError(str(error)) from None

STUDY_FOLDER = STUDY.folder


wildcard_constraints:
    dataset="[a-z0-9_]+",
    run="[a-z0-9_]+-[a-z0-9_]+-[a-z0-9_]+",
    seed=r"\d+",
    variant=r"dense|[a-z0-9_]+-0\.\d+",
    pruned=r"[a-z0-9_]+-0\.\d+",
    shard=r"\d+",


localrules:
    all,
    study,


rule all:
    input:
        f"{STUDY_FOLDER}/study/study.yaml",
        f"{STUDY_FOLDER}/report/report.html",


include: "workflow/rules/1-study.smk"
include: "workflow/rules/2-data.smk"
include: "workflow/rules/3-dense.smk"
include: "workflow/rules/4-prune.smk"
include: "workflow/rules/5-finetune.smk"
include: "workflow/rules/6-evaluate.smk"
include: "workflow/rules/7-distances.smk"
include: "workflow/rules/8-analyse.smk"
include: "workflow/rules/9-report.smk"
