"""What ran, in a crate: the jobs, the workflow run that they make up, and the engine's run."""

from posixpath import basename

from rocrate.rocrate import ROCrate

from thin_ice.provenance.crate.entities import Tree, add, refs
from thin_ice.provenance.crate.rules import Rule
from thin_ice.provenance.crate.study import STUDY, FinishedJob, FinishedStudy
from thin_ice.provenance.crate.workflow import ENGINE, WORKFLOW

RUN, ENGINE_RUN = "#run", "#engine-run"
COMPLETED = "http://schema.org/CompletedActionStatus"


def action(job: FinishedJob) -> str:
    """The identifier of a job's action."""
    return f"#job/{job.folder}"


def add_runs(
    crate: ROCrate, study: FinishedStudy, rules: list[Rule], values: list[str], agents: list[str]
) -> list[str]:
    """Add every action; gives the identifiers of those that a crate mentions.

    ``values``: identifiers of the hyper-parameters' values; ``agents``: of who answers for runs.
    """
    by_name = {rule.name: rule for rule in rules}
    jobs = in_order(study, by_name)
    _add_sources(crate, jobs)
    for job in jobs:
        _add_job(crate, job, by_name[job.stage], values, agents)
    _add_workflow_run(crate, study, jobs, values, agents)
    _add_engine_run(crate, study, jobs, agents)
    return [RUN, *(action(job) for job in jobs)]


def in_order(study: FinishedStudy, rules: dict[str, Rule]) -> list[FinishedJob]:
    """The jobs in the order of their rules, then of their folders."""
    return sorted(study.jobs.values(), key=lambda job: (rules[job.stage].position, job.folder))


def _add_sources(crate: ROCrate, jobs: list[FinishedJob]) -> None:
    """What jobs read from outside the study: named with its digest, not part of the crate."""
    for job in jobs:
        for name, digest in job.sources.items():
            add(crate, _source(name, digest), "CreativeWork", name=name, sha256=digest)


def _source(name: str, digest: str) -> str:
    return f"#source/{digest}/{basename(name)}"


def _add_job(
    crate: ROCrate, job: FinishedJob, rule: Rule, values: list[str], agents: list[str]
) -> None:
    """A job as the action of its rule, and the engine's step that brought it about."""
    read = [*job.inputs, *(_source(name, digest) for name, digest in job.sources.items())]
    if job.folder == STUDY:  # its parameter is the whole study
        read = values
    add(
        crate,
        action(job),
        "CreateAction",
        name=f"{job.stage}: {job.folder}",
        description=f"Made {', '.join(job.record.subjects)} in {job.folder} by rule {job.stage}; "
        "parameters, code, software and command stand in its record.",
        instrument={"@id": rule.tool},
        object=refs(read),
        result=refs(list(job.outputs)),
        subjectOf={"@id": job.record_path},
        **_when(job.started, job.finished, agents),
    )
    add(
        crate,
        f"#control/{job.folder}",
        "ControlAction",
        name=f"orchestrate {job.stage}: {job.folder}",
        instrument={"@id": rule.step},
        object={"@id": action(job)},
        actionStatus=COMPLETED,
    )


def _add_workflow_run(
    crate: ROCrate,
    study: FinishedStudy,
    jobs: list[FinishedJob],
    values: list[str],
    agents: list[str],
) -> None:
    """The whole run: from the hyper-parameters and sources to every artifact."""
    sources = {_source(name, made) for job in jobs for name, made in job.sources.items()}
    add(
        crate,
        RUN,
        "CreateAction",
        name=f"Run of the study {study.resolved['name']}",
        description=f"{len(jobs)} jobs. {commits(study)}",
        instrument={"@id": WORKFLOW},
        object=refs([*values, *sorted(sources)]),
        result=refs([path for job in jobs for path in job.outputs]),
        **_when(study.started, study.finished, agents),
    )


def _add_engine_run(
    crate: ROCrate, study: FinishedStudy, jobs: list[FinishedJob], agents: list[str]
) -> None:
    add(
        crate,
        ENGINE_RUN,
        "OrganizeAction",
        name=f"Snakemake's run of the study {study.resolved['name']}",
        instrument={"@id": ENGINE},
        object=refs([f"#control/{job.folder}" for job in jobs]),
        result={"@id": RUN},
        **_when(study.started, study.finished, agents),
    )


def _when(started: str, finished: str, agents: list[str]) -> Tree:
    return {
        "startTime": started,
        "endTime": finished,
        "agent": refs(agents),
        "actionStatus": COMPLETED,
    }


def commits(study: FinishedStudy) -> str:
    """Which states of the repository the jobs ran in, in a sentence."""
    states = {commit(job) for job in study.jobs.values()}
    return f"Code: {'; '.join(sorted(states))}."


def commit(job: FinishedJob) -> str:
    """The state of the repository that a job ran in."""
    git = job.record.run.get("git") or {}
    if not git.get("commit"):
        return "no git commit recorded"
    return f"git commit {git['commit']}" + (" with uncommitted changes" if git.get("dirty") else "")
