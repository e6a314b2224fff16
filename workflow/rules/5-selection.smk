"""What choosing checkpoints on test would have gained: the stage that chooses them, once more."""


# Only a study with selection_on_test asks for it.
rule selection:
    input:
        records_if_again("{run}/seed{seed}/{pruned}/selection"),
        dataset=ancient(dataset_of),
        pruned=ancient(mask_before),
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
        "Watch training on test, {wildcards.pruned}: {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python -m thin_ice selection --job {params.job:q} --dataset {input.dataset:q}"
        " --pruned {input.pruned:q} --model {input.model:q} --teacher {input.teacher:q}"
        " --threads {threads}"
        f"{SCRATCH}{RECORD_AND_LOG}"
