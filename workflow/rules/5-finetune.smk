"""Fine-tuning with the objective that trained the dense network: of pruned networks under their
masks, and as a control of the dense network once more.
"""


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


# Only a study with selection_on_test asks for it.
rule selection:
    input:
        records_if_again("{run}/seed{seed}/{pruned}/selection"),
        dataset=ancient(dataset_of),
        pruned=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/pruned/model.safetensors"),
        model=ancient(f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/model.safetensors"),
        teacher=ancient(teacher_of),
    output:
        epochs=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/selection/selection.csv",
        samples=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/selection/samples.parquet",
        record=f"{STUDY_FOLDER}/{{run}}/seed{{seed}}/{{pruned}}/selection/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/seed{{seed}}/{{pruned}}-selection.log",
    conda:
        "../../envs/gpu.yaml"
    threads: STUDY.resources["threads"]
    resources:
        **resources_of("selection"),
    params:
        job=lambda wildcards: STUDY.selection_job(network_of(wildcards, wildcards.pruned)),
    message:
        "Watch fine-tuning on test, {wildcards.pruned}: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice selection --job {params.job:q} --dataset {input.dataset:q}"
        " --pruned {input.pruned:q} --model {input.model:q} --teacher {input.teacher:q}"
        " --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"
