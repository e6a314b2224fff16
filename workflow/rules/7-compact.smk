"""A pruned network without its dead channels and zeros, and what its sparsity is worth."""


rule compact:
    input:
        records_if_again("{run}/seed{seed}/{pruned}/compact"),
        dataset=ancient(dataset_of),
        model=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/model.safetensors"),
    output:
        stored=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/compact/stored.safetensors",
        size=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/compact/size.json",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/compact/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/{{pruned}}-compact.log",
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("compact"),
    params:
        job=lambda wildcards: STUDY.compact_job(network_of(wildcards, wildcards.pruned)),
    message:
        "Compact {wildcards.pruned}: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice compact --job {params.job:q} --dataset {input.dataset:q}"
        " --model {input.model:q} --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"
