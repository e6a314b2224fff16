"""The workflow in a crate: the Snakefile with its parameters and rules, Snakemake, the sources."""

from pathlib import Path
from typing import Any

from rocrate.model.computerlanguage import get_lang
from rocrate.rocrate import ROCrate

from thin_ice.provenance.crate.citation import Citation
from thin_ice.provenance.crate.entities import add, add_file, ref, refs
from thin_ice.provenance.crate.rules import LANGUAGE, RULES, Rule, output_of, outputs_by_rule
from thin_ice.provenance.crate.study import FinishedStudy

WORKFLOW = "Snakefile"
WORKFLOW_PROFILE = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
ENGINE = "https://snakemake.github.io"


def add_engine(crate: ROCrate, study: FinishedStudy) -> None:
    """Snakemake as program and as language, with the versions that the records name."""
    version = ", ".join(study.versions("snakemake")) or None
    name = "Snakemake"
    add(crate, ENGINE, "SoftwareApplication", name=name, url=ENGINE, softwareVersion=version)
    crate.add(get_lang(crate, "snakemake", version=version))


def add_workflow(
    crate: ROCrate,
    repository: Path,
    rules: list[Rule],
    parameters: list[str],
    study: FinishedStudy,
    cited: Citation,
) -> None:
    """The main workflow, with its rules as parts and steps."""
    outputs = outputs_by_rule(study)
    about = _source_properties(cited) | {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": "Thin Ice",
        "conformsTo": ref(WORKFLOW_PROFILE),
        "input": refs(parameters),
        "output": refs(output_of(rule.name, name) for rule in rules for name in outputs[rule.name]),
        "hasPart": refs(rule.tool for rule in rules),
        "step": refs(rule.step for rule in rules),
        "softwareRequirements": _software(study),
    }
    crate.mainEntity = add_file(crate, repository / WORKFLOW, WORKFLOW, **about)


def add_sources(crate: ROCrate, repository: Path, cited: Citation) -> None:
    """The rules' files, the licence and the citation."""
    about = _source_properties(cited) | {"@type": ["File", "SoftwareSourceCode"]}
    for path in sorted((repository / RULES).glob("*.smk")):
        add_file(crate, path, f"{RULES}/{path.name}", **about)
    for name in ("LICENSE", "CITATION.cff"):
        add_file(crate, repository / name, name)


def _source_properties(cited: Citation) -> dict[str, Any]:
    """What all sources of the workflow have in common."""
    found = {"version": cited.version, "url": cited.url, "programmingLanguage": ref(LANGUAGE)}
    return {name: value for name, value in found.items() if value is not None}


def _software(study: FinishedStudy) -> list[str]:
    """Packages and versions that the jobs used."""
    used = {
        f"{name} {version}"
        for job in study.jobs.values()
        for name, version in job.record.software.items()
    }
    return sorted(used)
