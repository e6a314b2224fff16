"""A finished study as a Workflow Run RO-Crate (Provenance Run Crate 0.5, RO-Crate 1.1).

The crate is the study's folder again, at the same paths: every artifact, every record and the
sources that ran, with the workflow, a card for each network, and ro-crate-metadata.json, which
says for machines what each file is and which job made it from what, when and by which rule.
"""

from pathlib import Path

from rocrate.rocrate import ROCrate

from thin_ice.errors import ThinIceError
from thin_ice.files import atomic_folder
from thin_ice.provenance.crate.artifacts import add_artifacts, add_records
from thin_ice.provenance.crate.citation import (
    WORKFLOW_RO_CRATE,
    Citation,
    add_authors,
    add_license,
    add_profiles,
    read_citation,
)
from thin_ice.provenance.crate.entities import add_text, ref, refs
from thin_ice.provenance.crate.rules import add_rules, read_rules, rules_of
from thin_ice.provenance.crate.runs import add_runs
from thin_ice.provenance.crate.study import FinishedStudy
from thin_ice.provenance.crate.values import add_hyper_parameters
from thin_ice.provenance.crate.workflow import add_engine, add_sources, add_workflow

VERSION = "1.1"  # of RO-Crate, which the profiles are written for
README_TEXT = """# {name}

{description}

- `report/report.html`: figures and what they say
- `study/study.yaml`: the study with every default filled in
- `*/model_card.md`: what each network is and how well it did
- `*/provenance.json`: how each artifact was made, from what, by which code
- `code/`: that code, by its fingerprint
- `ro-crate-metadata.json`: all of this for machines (Provenance Run Crate 0.5)
"""
TERMS = {"sha256": "http://schema.org/sha256"}  # as in later versions; 1.1 does not know it


def export(study: FinishedStudy, repository: Path, target: Path) -> None:
    """Write a study's crate into ``target``, a folder that appears whole or not at all.

    Args:
        study: finished and sound.
        repository: the checkout whose Snakefile, rules, licence and citation go into the crate.
        target: a folder that is empty or not there.

    Raises:
        ThinIceError: the target holds something, or the repository is not the study's workflow.
    """
    require_empty(target)
    if target.resolve().is_relative_to(study.root.resolve()):
        raise ThinIceError(f"{target} lies in the study's own folder, {study.root}")
    crate = crate_of(study, repository)
    with atomic_folder(target) as folder:
        crate.write(folder)


def require_empty(target: Path) -> None:
    """Raises ThinIceError for a target that is there and is not an empty folder."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ThinIceError(f"{target} exists and is not an empty folder")


def crate_of(study: FinishedStudy, repository: Path) -> ROCrate:
    """The crate of a study, not yet written."""
    cited = read_citation(repository)
    rules = rules_of(study, read_rules(repository))
    crate = ROCrate(version=VERSION)
    crate.metadata.extra_terms.update(TERMS)
    authors = add_authors(crate, cited.authors)
    parameters, values = add_hyper_parameters(crate, study.resolved)
    add_workflow(crate, repository, rules, parameters, study, cited)
    add_sources(crate, repository, cited)
    add_engine(crate, study)
    add_rules(crate, rules, study, cited)
    add_artifacts(crate, study, cited)
    add_records(crate, study)
    crate.root_dataset["mentions"] = refs(add_runs(crate, study, rules, values, authors))
    _describe(crate, study, cited, authors)
    return crate


def _describe(crate: ROCrate, study: FinishedStudy, cited: Citation, authors: list[str]) -> None:
    """What the crate as a whole is."""
    root = crate.root_dataset
    root["name"] = f"Thin Ice study {study.resolved['name']}"
    root["description"] = _description(study)
    root["datePublished"] = study.finished
    root["license"] = add_license(crate, cited.license)
    root["author"] = refs(authors)
    root["conformsTo"] = refs(add_profiles(crate))
    crate.metadata["conformsTo"] = refs([crate.metadata.profile, WORKFLOW_RO_CRATE])
    text = README_TEXT.format(name=root["name"], description=_description(study))
    add_text(crate, text, "README.md", about=ref(root.id))


def _description(study: FinishedStudy) -> str:
    resolved, threat = study.resolved, study.resolved["threat"]
    return (
        f"Dense and pruned networks on {', '.join(resolved['datasets'])}, attacked at "
        f"{threat['norm']} eps {threat['eps']:g}: data, networks, outcomes of attacks, tables and "
        f"figures of {len(study.jobs)} jobs, each with its record."
    )
