"""A study's files in a crate: artifacts with what was measured, model cards, records, sources."""

from collections.abc import Iterable
from posixpath import dirname, join

from rocrate.rocrate import ROCrate

from thin_ice.provenance.crate.citation import Citation
from thin_ice.provenance.crate.entities import Tree, add_file, add_text, ref, refs
from thin_ice.provenance.crate.model_card import CARD, model_card
from thin_ice.provenance.crate.networks import Network, evaluated, networks
from thin_ice.provenance.crate.rules import code_file, output_of
from thin_ice.provenance.crate.runs import action
from thin_ice.provenance.crate.study import FinishedStudy
from thin_ice.provenance.crate.values import add_metrics, read_numbers
from thin_ice.provenance.evidence import ENVELOPE


def add_artifacts(crate: ROCrate, study: FinishedStudy, cited: Citation) -> None:
    """Every artifact, what was measured of networks, and a card for each network."""
    metrics = evaluated(study)
    numbers = {model: read_numbers(study.root / path) for model, path in metrics.items()}
    known = list(networks(study, numbers))
    more = _named(study, known)
    for model, path in metrics.items():
        values = refs(add_metrics(crate, path, numbers[model]))
        more[model] |= {"additionalProperty": values}
        more[path] = {"variableMeasured": values, "about": ref(model)}
    for job in study.jobs.values():
        for name, (path, digest) in zip(job.record.subjects, job.outputs.items(), strict=True):
            about = {"exampleOfWork": ref(output_of(job.stage, name))} | more.get(path, {})
            add_file(crate, study.root / path, path, digest, **about)
    for network in known:
        card = model_card(network, study, cited.license)
        add_text(crate, card, join(dirname(network.path), CARD), about=ref(network.path))


def _named(study: FinishedStudy, known: Iterable[Network]) -> dict[str, Tree]:
    """Files that have a name of their own: datasets as they were really read, and networks."""
    found: dict[str, Tree] = {network.path: {"name": network.name} for network in known}
    for job in study.jobs.values():
        if "dataset" in job.record.run:
            found |= {path: {"name": job.record.run["dataset"]} for path in job.outputs}
    return found


def add_records(crate: ROCrate, study: FinishedStudy) -> None:
    """The records, their signatures, and the sources that jobs ran, kept by fingerprint."""
    for job in study.jobs.values():
        add_file(crate, study.root / job.record_path, job.record_path, about=ref(action(job)))
        signature = join(job.folder, ENVELOPE)
        if (study.root / signature).is_file():
            add_file(crate, study.root / signature, signature, about=ref(job.record_path))
    for fingerprint in sorted(study.kept_code):
        path = code_file(fingerprint)
        add_file(crate, study.root / path, path, name=f"sources {fingerprint}")
