"""The public RO-Crate validator without a network: what it finds wrong with a crate."""

import json
from pathlib import Path

from requests_cache import CachedRequest, CachedResponse, CachedSession
from rocrate_validator import services
from rocrate_validator.models import Severity, ValidationSettings

PROFILES = (
    "ro-crate-1.1",
    "workflow-ro-crate-1.0",
    "process-run-crate-0.5",
    "workflow-run-crate-0.5",
    "provenance-run-crate-0.5",
)
CONTEXT = "https://w3id.org/ro/crate/1.1/context"

# The part of that context that our crates use. The packages at hand ship later contexts, which
# map some of these terms elsewhere. A term that is not here is one that 1.1 may not know: look it
# up there before adding it.
SCHEMA_ORG = """
    ComputerLanguage ControlAction CreateAction CreativeWork Dataset HowTo HowToStep ImageObject
    Organization OrganizeAction Person PropertyValue SoftwareApplication SoftwareSourceCode
    about actionStatus additionalProperty additionalType affiliation agent author contentSize
    datePublished description encodingFormat endTime exampleOfWork hasPart identifier instrument
    isPartOf license mainEntity maxValue measurementTechnique mentions minValue name object
    position programmingLanguage result softwareRequirements softwareVersion startTime step
    subjectOf unitText url value variableMeasured version workExample
"""
OTHERS = {
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "File": "http://schema.org/MediaObject",
    "FormalParameter": "https://bioschemas.org/FormalParameter",
    "conformsTo": "http://purl.org/dc/terms/conformsTo",
    "input": "https://bioschemas.org/ComputationalWorkflow#input",
    "output": "https://bioschemas.org/ComputationalWorkflow#output",
}
TERMS = {name: f"http://schema.org/{name}" for name in SCHEMA_ORG.split()} | OTHERS


def seeded_cache(folder: Path) -> Path:
    """A cache as the validator would have filled it from the network: the context, and no more."""
    path = folder / "http_cache"
    with CachedSession(str(path), backend="sqlite", expire_after=-1) as session:
        session.cache.save_response(
            CachedResponse(
                status_code=200,
                url=CONTEXT,
                headers={"Content-Type": "application/ld+json"},
                content=json.dumps({"@context": TERMS}).encode(),
                request=CachedRequest(method="GET", url=CONTEXT),
            )
        )
    return path


def problems(crate: Path, profile: str, cache: Path, level: str = "REQUIRED") -> list[str]:
    """What the validator finds against a profile, a line each."""
    result = services.validate(
        ValidationSettings(
            rocrate_uri=crate,
            profile_identifier=profile,
            requirement_severity=Severity[level],
            cache_path=cache,
            offline=True,
        )
    )
    return [f"{issue.message} ({issue.violatingEntity})" for issue in result.get_issues()]
