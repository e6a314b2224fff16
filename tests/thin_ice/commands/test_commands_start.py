"""A job brings what it needs and no more: packages that take long to import stay away."""

import json
import subprocess
import sys

import pytest
from tiny_study import arguments_of, run_job, tiny_study

from thin_ice.study.jobs import planned_jobs

# What a person would not miss for a second, most of it brought by something else.
HEAVY = (
    *("torch", "torch._dynamo", "torch._inductor", "sympy", "torch_pruning"),
    *("pandas", "pyarrow", "scipy", "sklearn", "matplotlib", "seaborn"),
    *("pyautoattack", "jsonschema", "jinja2"),
)
TABLES, NETWORKS = {"pandas", "pyarrow"}, {"torch"}
# What the command of a stage needs of these.
NEEDED = {
    "study": set(),
    "dense": NETWORKS,
    "prune": NETWORKS,
    "finetune": NETWORKS,
    "distances": NETWORKS | TABLES,
    "autoattack": NETWORKS | TABLES | {"pyautoattack"},
    "evaluate": NETWORKS | TABLES | {"pyautoattack", "scipy"},
    "analyse": TABLES | {"scipy", "sklearn"},
    "report": TABLES | {"scipy", "matplotlib", "seaborn", "jinja2"},
}
TRAINS = ("dense", "prune", "finetune")  # each from the one before
IMPORT = "importlib.import_module(f'thin_ice.commands.{stage}')"
RUN = "assert thin_ice.commands.cli.main(sys.argv[3:]) == 0"
SCRIPT = """
import importlib, json, sys, thin_ice.commands.cli
stage = sys.argv[1]
{}
print(json.dumps([name for name in json.loads(sys.argv[2]) if name in sys.modules]))
"""


def brought(does, stage, *arguments):
    """Which of `HEAVY` a process has imported that does something for a stage."""
    words = ["-c", SCRIPT.format(does), stage, json.dumps(HEAVY), *arguments]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("stage", NEEDED)
def test_a_command_imports_what_it_needs(stage):
    assert brought(IMPORT, stage) == NEEDED[stage]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What each job that trains has imported by its end: begun, trained, saved, recorded."""
    root, found = tmp_path_factory.mktemp("start"), {}
    for job in planned_jobs(tiny_study()):
        if job.stage == "dataset":
            run_job(job, root)
        if job.stage in TRAINS and job.stage not in found:
            found[job.stage] = brought(RUN, *([job.stage, *arguments_of(job, root)]))
    return found


@pytest.mark.parametrize("stage", TRAINS)
def test_a_job_that_trains_imports_torch_and_no_compiler(trained, stage):
    assert trained[stage] == NETWORKS
