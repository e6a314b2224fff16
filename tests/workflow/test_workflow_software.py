"""The software that rules name for --sdm conda and --sdm apptainer: the lock's, and all of it."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from miniature import REPOSITORY
from only_these import ENVS, content, normalised, packages, pinned, run_with

from thin_ice.checkout import LIBRARY, before_commands
from thin_ice.commands.runner import STAGES
from thin_ice.provenance.machine import packages_used, versions
from thin_ice.tables import TABLES

MAKEFILE = (REPOSITORY / "Makefile").read_text()
TORCH = re.search(r"^TORCH := (torch==\S+)$", MAKEFILE, re.MULTILINE)[1]
LOCK = {TORCH, *(ENVS / "requirements.txt").read_text().splitlines()[1:]}
ENVIRONMENTS = ("analysis", "cpu", "gpu")
ENTRIES = sorted(entry.split(":")[0] for table in TABLES.values() for entry in table.values())


def blocks():
    """The text of every rule, by its name."""
    text = "".join(path.read_text() for path in (REPOSITORY / "workflow/rules").glob("[0-9]*.smk"))
    parts = re.split(r"^rule (\w+):\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def environment_of(rule):
    (file,) = re.findall(r'^    conda:\n        "(.+)"$', blocks()[rule], flags=re.MULTILINE)
    path = (REPOSITORY / "workflow/rules" / file).resolve()  # as Snakemake takes it
    assert path.parent == ENVS
    return path.stem


def entered(stage):
    """The modules that a stage may enter by, with every entry it might be told to load."""
    networks = environment_of(stage) != "analysis"
    return [f"thin_ice.commands.{stage}", *(ENTRIES if networks else [])]


def test_every_stage_has_a_rule_that_names_an_environment():
    assert sorted(blocks()) == sorted(STAGES)
    assert {environment_of(stage) for stage in STAGES} == set(ENVIRONMENTS)


def test_stages_that_compute_on_networks_have_the_environment_for_a_gpu():
    """A network from elsewhere is taken where Snakemake runs."""
    computing = {
        stage
        for stage in STAGES
        if importlib.import_module(f"thin_ice.commands.{stage}").PREPARE is not None
    }
    gpu = {stage for stage in STAGES if environment_of(stage) == "gpu"}
    assert gpu == computing - {"external"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_pins_what_the_lock_pins_and_a_minor_version_of_python(environment):
    python, pip, _ = content(environment)["dependencies"]
    assert re.fullmatch(r"python=3\.\d+", python)
    assert pip == "pip"
    assert content(environment)["channels"] == ["conda-forge", "nodefaults"]
    assert len(pinned(environment)) > 20
    assert set(pinned(environment)) <= LOCK


@pytest.mark.parametrize("stage", STAGES)
def test_every_package_that_a_stage_can_reach_is_in_its_environment(stage):
    used = versions(packages_used(entered(stage))).keys() - {"python"}
    assert {normalised(name) for name in used} <= packages(environment_of(stage))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_modules_of_its_stages_import_with_the_packages_of_an_environment_alone(environment):
    stages = [stage for stage in STAGES if environment_of(stage) == environment]
    modules = ["thin_ice.commands.runner", *(name for stage in stages for name in entered(stage))]
    done = run_with(environment, input="\n".join(modules))
    assert done.returncode == 0, done.stderr
    refused = run_with(environment, input="snakemake")
    assert "snakemake is not in this environment" in refused.stderr


def test_the_lock_makes_the_environments_that_are_here():
    script = ENVS / "make_environments.py"
    code = (
        f"import runpy; made = runpy.run_path({str(script)!r})['environments']()\n"
        "import json; print(json.dumps(made))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = yaml.safe_load(done.stdout)
    assert made == {path.name: path.read_text() for path in ENVS.glob("*.yaml")}
    assert "\t$(BIN)/python envs/make_environments.py\n" in MAKEFILE.split("\nlock:")[1]


def test_the_image_has_the_lock_and_the_python_of_the_environments():
    text = (ENVS / "thin-ice.def").read_text()
    (python,) = re.findall(r"^From: python:(3\.\d+)\.\d+-slim-\w+$", text, flags=re.MULTILINE)
    assert {content(one)["dependencies"][0] for one in ENVIRONMENTS} == {f"python={python}"}
    assert re.findall(r"pip install (torch\S+)$", text, flags=re.MULTILINE) == [TORCH]
    torch, lock = text.index(f"pip install {TORCH}"), text.index("pip install --requirement")
    assert torch < lock
    for source in re.findall(r"^    (\S+/\S+) /opt/", text, flags=re.MULTILINE):
        assert (REPOSITORY / source).exists()


DEPLOYED = """
import sys
from snakemake.cli import main
from snakemake.shell import shell
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("BEFORE", shell._process_prefix)
"""


@pytest.mark.parametrize("deployment", ["conda", "apptainer", None])
def test_the_workflow_has_jobs_see_to_their_software_where_it_is_deployed(tmp_path, deployment):
    words = ["-n", "-s", REPOSITORY / "Snakefile", "--directory", tmp_path, "--configfile"]
    words += [REPOSITORY / "config.yaml", *(["--sdm", deployment] if deployment else [])]
    done = subprocess.run(
        [sys.executable, "-c", DEPLOYED, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    line = done.stdout.rpartition("BEFORE ")[2].rstrip("\n")
    assert line == (before_commands([deployment]) if deployment else "None")


@pytest.fixture(scope="module")
def another_python(tmp_path_factory):
    """A folder with an interpreter of its own in bin/, as an environment of conda has."""
    folder = tmp_path_factory.mktemp("environment")
    words = [sys.executable, "-m", "venv", "--without-pip", folder]
    subprocess.run(words, check=True)
    return folder


def said_by_python(before, **environment):
    """What the python of a job's shell is and where it finds the library."""
    code = "import sys, thin_ice, site; print(sys.prefix, thin_ice.__file__, site.ENABLE_USER_SITE)"
    done = subprocess.run(
        [shutil.which("bash"), "-c", f"{before}python -c '{code}'"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_job_runs_by_its_environment_though_another_python_comes_first(another_python):
    """As Snakemake leaves it: the running interpreter first, no PYTHONPATH."""
    path = f"{Path(sys.executable).parent}:{another_python}/bin:{os.environ['PATH']}"
    found = said_by_python(before_commands({"conda"}), PATH=path, CONDA_PREFIX=str(another_python))
    assert found == [str(another_python), str(LIBRARY / "thin_ice/__init__.py"), "False"]


def test_in_a_container_the_images_python_runs_the_checkouts_library(another_python):
    path = f"{another_python}/bin:{os.environ['PATH']}"
    found = said_by_python(before_commands({"apptainer"}), PATH=path)
    assert found == [str(another_python), str(LIBRARY / "thin_ice/__init__.py"), "False"]
