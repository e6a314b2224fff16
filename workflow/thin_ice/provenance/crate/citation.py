"""Whom and what a crate cites: authors, licence, profiles."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rocrate.model import Entity
from rocrate.rocrate import ROCrate

from thin_ice.errors import ThinIceError
from thin_ice.provenance.crate.entities import add

WORKFLOW_RO_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    WORKFLOW_RO_CRATE: ("Workflow RO-Crate", "1.0"),
}


@dataclass(frozen=True)
class Citation:
    """What CITATION.cff says; absent entries are None."""

    authors: tuple[dict[str, Any], ...]
    license: str  # by its SPDX name
    version: str | None
    url: str | None


def read_citation(repository: Path) -> Citation:
    """Read CITATION.cff. Raises ThinIceError where it is none."""
    path = repository / "CITATION.cff"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        authors, license = tuple(found["authors"]), str(found["license"])
        version = found.get("version")
    except (OSError, yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        raise ThinIceError(f"cannot read authors and licence from {path}: {error!r}") from None
    url = found.get("repository-code") or found.get("url")
    return Citation(authors, license, version and str(version), url)


def add_profiles(crate: ROCrate) -> list[str]:
    for identifier, (name, version) in PROFILES.items():
        add(crate, identifier, "CreativeWork", name=name, version=version)
    return list(PROFILES)


def add_license(crate: ROCrate, name: str) -> Entity:
    """The licence by its SPDX name."""
    url = f"https://spdx.org/licenses/{name}"
    return add(crate, url, "CreativeWork", name=f"{name} licence", identifier=name, url=url)


def add_authors(crate: ROCrate, authors: tuple[dict[str, Any], ...]) -> list[str]:
    """CITATION.cff's authors: a person has a family name, anybody else is an organization."""
    found = []
    for number, author in enumerate(authors, start=1):
        person = "family-names" in author
        name = f"{author.get('given-names', '')} {author.get('family-names', '')}".strip()
        add(
            crate,
            author.get("orcid") or author.get("website") or f"#author/{number}",
            "Person" if person else "Organization",
            name=name if person else author.get("name"),
            affiliation=author.get("affiliation"),
            url=author.get("website"),
        )
        found.append(author.get("orcid") or author.get("website") or f"#author/{number}")
    return found
