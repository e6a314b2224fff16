"""The thin-ice analysis: who was lost, who was rescued, where they stood on the dense network, and
what else might have told.
"""


rule analyse:
    input:
        records_if_again("{run}/analysis"),
        samples=ancient(of_run(STUDY.networks(), "evaluation/samples.parquet")),
        metrics=ancient(of_run(STUDY.networks(), "evaluation/metrics.json")),
        distances=ancient(of_run(STUDY.networks(), "distances/distances.parquet")),
        indicators=ancient(of_run(STUDY.networks(), "indicators/indicators.json")),
        selection=ancient(of_run(STUDY.watched_networks(), "selection/samples.parquet")),
        rivals=ancient(of_run(STUDY.dense_networks(), "rivals/rivals.parquet")),
        breaking=ancient(of_run(STUDY.breaking_networks(), "breaking/breaking.parquet")),
        sensitivity=ancient(of_run(STUDY.made_networks(), "sensitivity/sensitivity.parquet")),
        sizes=ancient(of_run(STUDY.pruned_networks(), "compact/size.json")),
        certified=ancient(of_run(STUDY.certified_networks(), "certified/certified.parquet")),
        histories=ancient(histories_of_run),
    output:
        accuracy=f"{STUDY_FOLDER}/{{run}}/analysis/accuracy.csv",
        overestimate=f"{STUDY_FOLDER}/{{run}}/analysis/overestimate.csv",
        thin_ice=f"{STUDY_FOLDER}/{{run}}/analysis/thin_ice.csv",
        curves=f"{STUDY_FOLDER}/{{run}}/analysis/curves.csv",
        optimality=f"{STUDY_FOLDER}/{{run}}/analysis/optimality.csv",
        predictors=f"{STUDY_FOLDER}/{{run}}/analysis/predictors.csv",
        thickness=f"{STUDY_FOLDER}/{{run}}/analysis/thickness.csv",
        joint=f"{STUDY_FOLDER}/{{run}}/analysis/joint.csv",
        classes=f"{STUDY_FOLDER}/{{run}}/analysis/classes.csv",
        pies=f"{STUDY_FOLDER}/{{run}}/analysis/pies.csv",
        overlap=f"{STUDY_FOLDER}/{{run}}/analysis/overlap.csv",
        movement=f"{STUDY_FOLDER}/{{run}}/analysis/movement.csv",
        sizes=f"{STUDY_FOLDER}/{{run}}/analysis/sizes.csv",
        preservation=f"{STUDY_FOLDER}/{{run}}/analysis/preservation.csv",
        certified=f"{STUDY_FOLDER}/{{run}}/analysis/certified.csv",
        training=f"{STUDY_FOLDER}/{{run}}/analysis/training.csv",
        samples=f"{STUDY_FOLDER}/{{run}}/analysis/samples.parquet",
        record=f"{STUDY_FOLDER}/{{run}}/analysis/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/analyse.log",
    conda:
        "../../envs/analysis.yaml"
    resources:
        **resources_of("analyse"),
    params:
        job=lambda wildcards: STUDY.analyse_job(wildcards.run),
    message:
        "Thin-ice analysis of {wildcards.run}"
    shell:
        "python -m thin_ice analyse --job {params.job:q} --samples {input.samples:q}"
        " --metrics {input.metrics:q} --distances {input.distances:q}"
        " --indicators {input.indicators:q} --selection {input.selection:q}"
        " --rivals {input.rivals:q} --breaking {input.breaking:q}"
        " --sensitivity {input.sensitivity:q} --sizes {input.sizes:q}"
        " --certified {input.certified:q} --histories {input.histories:q}"
        f"{RECORD_AND_LOG}"
