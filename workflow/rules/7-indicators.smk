"""Indicators of attack failure: whether the attacks on a network failed for reasons of their own."""


rule indicators:
    input:
        records_if_again("{run}/seed{seed}/{variant}/indicators"),
        dataset=ancient(dataset_of),
        model=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/model.safetensors"),
    output:
        samples=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/indicators/indicators.parquet",
        network=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/indicators/indicators.json",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/indicators/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/{{variant}}-indicators.log",
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("indicators"),
    params:
        job=lambda wildcards: STUDY.indicators_job(network_of(wildcards)),
    message:
        "Indicators of attack failure on {wildcards.variant}: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice indicators --job {params.job:q} --dataset {input.dataset:q}"
        " --model {input.model:q} --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"
