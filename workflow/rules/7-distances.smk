"""How far every test sample lies from the decision boundary of each dense network."""


rule distances:
    input:
        records_if_again("{run}/seed{seed}/dense/distances"),
        dataset=ancient(dataset_of),
        model=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/model.safetensors"),
    output:
        distances=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/distances/distances.parquet",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/distances/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/dense-distances.log",
    threads: STUDY.resources["threads"]
    resources:
        gpu=1,
        mem_mb=STUDY.resources["mem_mb"],
        runtime=STUDY.resources["attack_minutes"],
    params:
        job=lambda wildcards: STUDY.distances_job(network_of(wildcards, "dense")),
    message:
        "Distances to the dense boundary: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice distances --job {params.job:q} --dataset {input.dataset:q}"
        " --model {input.model:q} --threads {threads}"
        f"{RECORD_AND_LOG}"
