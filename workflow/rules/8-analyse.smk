"""The thin-ice analysis: who was lost, who was rescued, and where they stood on the dense network."""


rule analyse:
    input:
        records_if_again("{run}/analysis"),
        samples=ancient(of_run(STUDY.networks(), "evaluation/samples.parquet")),
        metrics=ancient(of_run(STUDY.networks(), "evaluation/metrics.json")),
        distances=ancient(of_run(STUDY.networks(), "distances/distances.parquet")),
        indicators=ancient(of_run(STUDY.networks(), "indicators/indicators.json")),
        selection=ancient(of_run(STUDY.watched_networks(), "selection/samples.parquet")),
    output:
        accuracy=f"{STUDY_FOLDER}/{{run}}/analysis/accuracy.csv",
        overestimate=f"{STUDY_FOLDER}/{{run}}/analysis/overestimate.csv",
        thin_ice=f"{STUDY_FOLDER}/{{run}}/analysis/thin_ice.csv",
        curves=f"{STUDY_FOLDER}/{{run}}/analysis/curves.csv",
        optimality=f"{STUDY_FOLDER}/{{run}}/analysis/optimality.csv",
        samples=f"{STUDY_FOLDER}/{{run}}/analysis/samples.parquet",
        record=f"{STUDY_FOLDER}/{{run}}/analysis/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/{{run}}/analyse.log",
    resources:
        gpu=0,
        mem_mb=STUDY.resources["mem_mb"],
        runtime=60,
    params:
        job=lambda wildcards: STUDY.analyse_job(wildcards.run),
    message:
        "Thin-ice analysis of {wildcards.run}"
    shell:
        "python -m thin_ice analyse --job {params.job:q} --samples {input.samples:q}"
        " --metrics {input.metrics:q} --distances {input.distances:q}"
        " --indicators {input.indicators:q} --selection {input.selection:q}"
        f"{RECORD_AND_LOG}"
