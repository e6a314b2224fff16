"""Every network attacked: AutoAttack shard by shard, then claimed protocols and the join."""


rule autoattack:
    input:
        records_if_again("{run}/seed{seed}/{variant}/autoattack/shard{shard}"),
        dataset=ancient(dataset_of),
        model=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/model.safetensors"),
    output:
        outcomes=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/autoattack/shard{{shard}}/outcomes.parquet",
        examples=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/autoattack/shard{{shard}}/examples.safetensors",
        checks=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/autoattack/shard{{shard}}/checks.json",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/autoattack/shard{{shard}}/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/{{variant}}-autoattack{{shard}}.log",
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("autoattack"),
    params:
        job=lambda wildcards: STUDY.autoattack_job(network_of(wildcards), int(wildcards.shard)),
    message:
        "AutoAttack on {wildcards.variant}, shard {wildcards.shard}: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice autoattack --job {params.job:q} --dataset {input.dataset:q}"
        " --model {input.model:q} --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"


rule evaluate:
    input:
        records_if_again("{run}/seed{seed}/{variant}/evaluation"),
        dataset=ancient(dataset_of),
        model=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/model.safetensors"),
        shards=ancient(shards_of("outcomes.parquet")),
        checks=ancient(shards_of("checks.json")),
    output:
        samples=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/evaluation/samples.parquet",
        metrics=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/evaluation/metrics.json",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{variant}}/evaluation/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/{{variant}}-evaluate.log",
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("evaluate"),
    params:
        job=lambda wildcards: STUDY.evaluate_job(network_of(wildcards)),
    message:
        "Evaluate {wildcards.variant}: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice evaluate --job {params.job:q} --dataset {input.dataset:q}"
        " --model {input.model:q} --shards {input.shards:q} --checks {input.checks:q} --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"
