"""The thin-ice analysis: who was lost, who was rescued, and where they stood on the dense network."""


rule analyse:
    input:
        samples=of_networks(STUDY.networks(), "evaluation/samples.parquet"),
        metrics=of_networks(STUDY.networks(), "evaluation/metrics.json"),
        distances=of_networks(STUDY.dense_networks(), "distances/distances.parquet"),
    output:
        accuracy=f"{STUDY_FOLDER}/analysis/accuracy.csv",
        thin_ice=f"{STUDY_FOLDER}/analysis/thin_ice.csv",
        samples=f"{STUDY_FOLDER}/analysis/samples.parquet",
        record=f"{STUDY_FOLDER}/analysis/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/analyse.log",
    resources:
        gpu=0,
        mem_mb=STUDY.resources["mem_mb"],
        runtime=60,
    params:
        job=STUDY.analyse_job(),
    message:
        "Thin-ice analysis of the study"
    shell:
        "python -m thin_ice analyse --job {params.job:q} --samples {input.samples:q}"
        " --metrics {input.metrics:q} --distances {input.distances:q}"
        " --record {output.record:q} --log {log:q}"
