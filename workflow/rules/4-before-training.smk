"""Pruning before training: mask -> train_masked. A mask is found for a network as initialised; what
it leaves is trained.
"""


rule mask:
    input:
        records_if_again("{run}/seed{seed}/{pruned}/pruned"),
        dataset=ancient(dataset_of),
    output:
        model=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/pruned/model.safetensors",
        history=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/pruned/history.csv",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/pruned/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/{{pruned}}-mask.log",
    wildcard_constraints:
        pruned=any_of(STUDY.variants("before")),
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("mask"),
    params:
        job=lambda wildcards: STUDY.mask_job(network_of(wildcards, wildcards.pruned)),
    message:
        "Find the mask of {wildcards.pruned}: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice mask --job {params.job:q} --dataset {input.dataset:q}"
        " --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"


rule train_masked:
    input:
        records_if_again("{run}/seed{seed}/{pruned}"),
        dataset=ancient(dataset_of),
        model=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/pruned/model.safetensors"),
    output:
        model=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/model.safetensors",
        history=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/history.csv",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/{{pruned}}-train_masked.log",
    wildcard_constraints:
        pruned=any_of(STUDY.variants("before")),
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("train_masked"),
    params:
        job=lambda wildcards: STUDY.train_masked_job(network_of(wildcards, wildcards.pruned)),
    message:
        "Train under the mask of {wildcards.pruned}: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice train_masked --job {params.job:q} --dataset {input.dataset:q}"
        " --model {input.model:q} --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"
