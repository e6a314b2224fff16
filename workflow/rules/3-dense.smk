"""Dense networks: trained robustly from initialisation, one a run and seed, or from elsewhere."""


rule dense:
    input:
        records_if_again("{run}/seed{seed}/dense"),
        dataset=ancient(dataset_of),
    output:
        model=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/model.safetensors",
        history=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/history.csv",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/dense.log",
    wildcard_constraints:
        run=any_of(STUDY.runs_from(elsewhere=False)),
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("dense"),
    params:
        job=lambda wildcards: STUDY.dense_job(network_of(wildcards, "dense")),
    message:
        "Train the dense network of {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice dense --job {params.job:q} --dataset {input.dataset:q} --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"


rule external:
    input:
        records_if_again("{run}/seed{seed}/dense"),
        dataset=ancient(dataset_of),
    output:
        model=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/model.safetensors",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/dense.log",
    wildcard_constraints:
        run=any_of(STUDY.runs_from(elsewhere=True)),
    conda:
        "../../envs/cpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("external"),
    params:
        job=lambda wildcards: STUDY.external_job(network_of(wildcards, "dense")),
    message:
        "Take the dense network of {wildcards.run} from elsewhere"
    shell:
        "python -m thin_ice external --job {params.job:q} --dataset {input.dataset:q}"
        " --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"
