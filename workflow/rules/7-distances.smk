"""How far every test sample lies from the decision boundary of each network."""


rule distances:
    input:
        records_if_again("{run}/seed{seed}/{variant}/distances"),
        dataset=ancient(dataset_of),
        model=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/model.safetensors"),
    output:
        distances=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/distances/distances.parquet",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/distances/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/{{variant}}-distances.log",
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("distances"),
    params:
        job=lambda wildcards: STUDY.distances_job(network_of(wildcards)),
    message:
        "Distances to the boundary of {wildcards.variant}: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice distances --job {params.job:q} --dataset {input.dataset:q}"
        " --model {input.model:q} --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"
