"""Each dataset once: read, split into train, validation and test, saved for every later stage."""


rule dataset:
    input:
        records_if_again("data/{dataset}"),
    output:
        dataset=f"{STUDY_FOLDER}/data/{{dataset}}/dataset.safetensors",
        record=f"{STUDY_FOLDER}/data/{{dataset}}/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/dataset-{{dataset}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        **resources_of("dataset"),
    params:
        job=lambda wildcards: STUDY.dataset_job(wildcards.dataset),
    message:
        "Read and split the dataset {wildcards.dataset}"
    shell:
        "python -m thin_ice dataset --job {params.job:q}" f"{RECORD_AND_LOG}"
