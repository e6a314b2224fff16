"""How far the change of the parameters should move each sample's margin, to first order."""


rule sensitivity:
    input:
        records_if_again("{run}/seed{seed}/{variant}/sensitivity"),
        dataset=ancient(dataset_of),
        dense=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/model.safetensors"),
        model=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/model.safetensors"),
    output:
        sensitivity=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/sensitivity/sensitivity.parquet",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/sensitivity/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/{{variant}}-sensitivity.log",
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("sensitivity"),
    params:
        job=lambda wildcards: STUDY.sensitivity_job(network_of(wildcards)),
    message:
        "Predicted change of margins of {wildcards.variant}: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice sensitivity --job {params.job:q} --dataset {input.dataset:q}"
        " --dense {input.dense:q} --model {input.model:q} --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"
