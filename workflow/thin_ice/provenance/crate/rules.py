"""The rules of the workflow in a crate: each is a tool that jobs ran, and a step."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from rocrate.rocrate import ROCrate

from thin_ice.errors import ThinIceError
from thin_ice.provenance.code_store import FOLDER as CODE
from thin_ice.provenance.crate.citation import Citation
from thin_ice.provenance.crate.entities import add, ref, refs
from thin_ice.provenance.crate.study import FinishedStudy
from thin_ice.provenance.crate.values import add_formal_parameter

RULES = "workflow/rules"
LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"


@dataclass(frozen=True)
class Rule:
    """A rule of the workflow: where it is written, and its place in the flow of data."""

    name: str
    file: str  # below the repository
    position: int

    @property
    def tool(self) -> str:
        return f"{self.file}#{self.name}"

    @property
    def step(self) -> str:
        return f"#step/{self.name}"


def read_rules(repository: Path) -> dict[str, Rule]:
    """Every rule by name; the files are numbered in the order in which data flows."""
    found: dict[str, Rule] = {}
    for path in sorted((repository / RULES).glob("*.smk")):
        for name in re.findall(r"^rule (\w+):", path.read_text(encoding="utf-8"), re.MULTILINE):
            found[name] = Rule(name, f"{RULES}/{path.name}", len(found) + 1)
    return found


def rules_of(study: FinishedStudy, rules: dict[str, Rule]) -> list[Rule]:
    """The rules that a study ran, in order. Raises ThinIceError for a stage without a rule."""
    stages = {job.stage for job in study.jobs.values()}
    if unknown := sorted(stages - set(rules)):
        raise ThinIceError(f"this checkout's workflow has no rule {', '.join(unknown)}")
    return [rule for rule in rules.values() if rule.name in stages]


def outputs_by_rule(study: FinishedStudy) -> dict[str, list[str]]:
    """The names of the files that each rule writes, as its jobs' records have them."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for job in study.jobs.values():
        found[job.stage].update(job.record.subjects)
    return {stage: sorted(names) for stage, names in found.items()}


def output_of(stage: str, name: str) -> str:
    """The formal parameter that a rule's output file is an example of."""
    return f"#output/{stage}/{name}"


def code_file(fingerprint: str) -> str:
    """Where the sources with a fingerprint are kept, below the study's folder."""
    return f"{CODE}/{fingerprint}.json"


def _code_by_rule(study: FinishedStudy) -> dict[str, list[str]]:
    """The kept sources that ran for each rule."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for job in study.jobs.values():
        if job.record.code in study.kept_code:
            found[job.stage].add(code_file(job.record.code))
    return {stage: sorted(files) for stage, files in found.items()}


def add_rules(crate: ROCrate, rules: list[Rule], study: FinishedStudy, cited: Citation) -> None:
    """Each rule as a tool, whose parts are the sources that ran, and as a step."""
    outputs, code = outputs_by_rule(study), _code_by_rule(study)
    for rule in rules:
        for name in outputs[rule.name]:
            add_formal_parameter(crate, output_of(rule.name, name), name, "File")
        add(
            crate,
            rule.tool,
            "SoftwareSourceCode",
            name=rule.name,
            description=f"Rule {rule.name}: python -m thin_ice {rule.name}",
            isPartOf=ref(rule.file),
            hasPart=refs(code.get(rule.name, [])),
            output=refs(output_of(rule.name, name) for name in outputs[rule.name]),
            programmingLanguage=ref(LANGUAGE),
            version=cited.version,
            url=cited.url,
        )
        position, tool = str(rule.position), ref(rule.tool)
        add(crate, rule.step, "HowToStep", name=rule.name, position=position, workExample=tool)
