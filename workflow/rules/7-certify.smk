"""What can be proved of a network: bounds over a whole ball, certificates of smoothing."""


# Only a study with a certification asks for it.
rule certify:
    input:
        records_if_again("{run}/seed{seed}/{variant}/certified"),
        dataset=ancient(dataset_of),
        model=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/model.safetensors"),
    output:
        certified=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/certified/certified.parquet",
        summary=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/certified/certified.json",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/certified/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/{{variant}}-certify.log",
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("certify"),
    params:
        job=lambda wildcards: STUDY.certify_job(network_of(wildcards)),
    message:
        "Certify {wildcards.variant}: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice certify --job {params.job:q} --dataset {input.dataset:q}"
        " --model {input.model:q} --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"
