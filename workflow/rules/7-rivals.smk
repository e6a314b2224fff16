"""Rivals of distance: what else may tell, on the dense network, which samples pruning loses."""


rule rivals:
    input:
        records_if_again("{run}/seed{seed}/dense/rivals"),
        dataset=ancient(dataset_of),
        model=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/model.safetensors"),
    output:
        rivals=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/rivals/rivals.parquet",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/rivals/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/dense-rivals.log",
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("rivals"),
    params:
        job=lambda wildcards: STUDY.rivals_job(network_of(wildcards, "dense")),
    message:
        "Rivals of distance on the dense network of {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice rivals --job {params.job:q} --dataset {input.dataset:q}"
        " --model {input.model:q} --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"
