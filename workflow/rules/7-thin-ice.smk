"""What is looked for on dense networks alone: where each sample breaks, and the thinnest ice."""


rule breaking:
    input:
        records_if_again("{run}/seed{seed}/dense/breaking"),
        dataset=ancient(dataset_of),
        model=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/model.safetensors"),
        samples=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/evaluation/samples.parquet"),
        distances=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/distances/distances.parquet"),
    output:
        breaking=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/breaking/breaking.parquet",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/breaking/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/dense-breaking.log",
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("breaking"),
    params:
        job=lambda wildcards: STUDY.breaking_job(network_of(wildcards, "dense")),
    message:
        "Breaking radius of each sample: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice breaking --job {params.job:q} --dataset {input.dataset:q}"
        " --model {input.model:q} --samples {input.samples:q} --distances {input.distances:q}"
        " --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"


rule twins:
    input:
        records_if_again("{run}/seed{seed}/dense/twins"),
        dataset=ancient(dataset_of),
        model=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/model.safetensors"),
        distances=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/distances/distances.parquet"),
    output:
        twins=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/twins/twins.safetensors",
        table=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/twins/twins.parquet",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/twins/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/dense-twins.log",
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("twins"),
    params:
        job=lambda wildcards: STUDY.twins_job(network_of(wildcards, "dense")),
    message:
        "Adversarial twins of the thinnest ice: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice twins --job {params.job:q} --dataset {input.dataset:q}"
        " --model {input.model:q} --distances {input.distances:q} --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"
