"""Pruning during training: train_sparse. The network is sparse, or becomes so, while it is trained."""


rule train_sparse:
    input:
        records_if_again("{run}/seed{seed}/{pruned}"),
        dataset=ancient(dataset_of),
    output:
        model=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/model.safetensors",
        history=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/history.csv",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/{{pruned}}-train_sparse.log",
    wildcard_constraints:
        pruned=any_of(STUDY.variants("during")),
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("train_sparse"),
    params:
        job=lambda wildcards: STUDY.train_sparse_job(network_of(wildcards, wildcards.pruned)),
    message:
        "Train sparse by {wildcards.pruned}: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice train_sparse --job {params.job:q} --dataset {input.dataset:q}"
        " --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"
