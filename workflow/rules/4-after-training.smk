"""Pruning after training: dense -> prune -> finetune. One method to one sparsity, from the dense
network of the same run and seed; and as a control the dense network fine-tuned once more.
"""


rule prune:
    input:
        records_if_again("{run}/seed{seed}/{pruned}/pruned"),
        dataset=ancient(dataset_of),
        model=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/dense/model.safetensors"),
    output:
        model=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/pruned/model.safetensors",
        history=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/pruned/history.csv",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/pruned/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/{{pruned}}-prune.log",
    wildcard_constraints:
        pruned=any_of(STUDY.variants("after")),
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("prune"),
    params:
        job=lambda wildcards: STUDY.prune_job(network_of(wildcards, wildcards.pruned)),
    message:
        "Prune by {wildcards.pruned}: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice prune --job {params.job:q} --dataset {input.dataset:q}"
        " --model {input.model:q} --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"


rule finetune:
    input:
        records_if_again("{run}/seed{seed}/{tuned}"),
        dataset=ancient(dataset_of),
        model=ancient(before_tuning),
        teacher=ancient(teacher_of),
    output:
        model=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{tuned}}/model.safetensors",
        history=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{tuned}}/history.csv",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{tuned}}/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/{{tuned}}-finetune.log",
    wildcard_constraints:
        tuned=any_of([DENSE_AGAIN, *STUDY.variants("after")]),
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("finetune"),
    params:
        job=lambda wildcards: STUDY.finetune_job(network_of(wildcards, wildcards.tuned)),
    message:
        "Fine-tune {wildcards.tuned}: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice finetune --job {params.job:q} --dataset {input.dataset:q}"
        " --model {input.model:q} --teacher {input.teacher:q} --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"
