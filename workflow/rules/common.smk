"""What rules share: which network a job's wildcards name, and where the files of networks lie."""

import re
import shlex

# How every command ends: where its record goes, its log, and the sources of the code that ran.
RECORD_AND_LOG = f" --record {{output.record:q}} --log {{log:q}} --code {STUDY_FOLDER}/code"

# How commands that read a dataset are told where their node keeps a copy. The node's variables are
# the command's to expand, not the shell's, since one may be unset.
SCRATCH = STUDY.resources["scratch"]
SCRATCH = f" --scratch {shlex.quote(SCRATCH)}" if SCRATCH else ""
SCRATCH = SCRATCH.replace("{", "{{").replace("}", "}}")


def network_of(wildcards, variant=None):
    """The network that a job's wildcards name."""
    return Network(wildcards.run, int(wildcards.seed), variant or wildcards.variant)


def dataset_of(wildcards):
    """The dataset artifact that a run is trained and tested on."""
    return f"{STUDY_FOLDER}/data/{wildcards.run.split('-')[0]}/dataset.safetensors"


def before_tuning(wildcards):
    """The network that fine-tuning starts from: the pruned one, or the dense one itself."""
    network = network_of(wildcards, wildcards.tuned)
    start = f"{network.folder}/pruned" if network.pruned else network.dense.folder
    return f"{STUDY_FOLDER}/{start}/model.safetensors"


def teacher_of(wildcards):
    """The dense network, if the last stage learns from it."""
    network = network_of(wildcards, wildcards.get("tuned") or wildcards.get("pruned"))
    taught = network.pruned and STUDY.taught(network)
    return [f"{STUDY_FOLDER}/{network.dense.folder}/model.safetensors"] if taught else []


def mask_before(wildcards):
    """The network as it was pruned, if a stage that trained it further is replayed."""
    network = network_of(wildcards, wildcards.pruned)
    if STUDY.deciding_stage(network) in PRUNES:
        return []
    return [f"{STUDY_FOLDER}/{network.folder}/pruned/model.safetensors"]


def any_of(names):
    """A wildcard constraint: one of these names; without any, nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"


def shards_of(file):
    """Input function: a file of each AutoAttack shard; together they cover the test split."""

    def files(wildcards):
        network = network_of(wildcards)
        folder = f"{STUDY_FOLDER}/{network.folder}/autoattack"
        return [f"{folder}/shard{n}/{file}" for n in STUDY.shards(network.parts[0])]

    return files


def files_of(networks, file):
    """The same file of each of these networks."""
    return [f"{STUDY_FOLDER}/{network.folder}/{file}" for network in networks]


def of_run(networks, file):
    """Input function: the same file of each of these networks that belongs to the rule's run."""
    return lambda wildcards: [
        f"{STUDY_FOLDER}/{network.folder}/{file}"
        for network in networks
        if network.run == wildcards.run
    ]


def histories_of_run(wildcards):
    """Of each network that was trained here and belongs to the rule's run, the history."""
    networks = [one for one in STUDY.trained_networks() if one.run == wildcards.run]
    return [f"{STUDY_FOLDER}/{STUDY.history(network)}" for network in networks]


def analysed(file):
    """A file of each run's analysis."""
    return [f"{STUDY_FOLDER}/{run}/analysis/{file}" for run in STUDY.runs()]
