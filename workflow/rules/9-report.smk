"""Figures from the finished tables, and one HTML page that needs nothing else."""

FIGURES = (
    *("accuracy", "overestimate", "mechanisms", "security"),
    *("distances", "loss_by_distance", "auroc"),
)


rule report:
    input:
        records_if_again("report"),
        accuracy=ancient(expand(f"{STUDY_FOLDER}/{{run}}/analysis/accuracy.csv", run=STUDY.runs())),
        overestimate=ancient(
            expand(f"{STUDY_FOLDER}/{{run}}/analysis/overestimate.csv", run=STUDY.runs())
        ),
        thin_ice=ancient(expand(f"{STUDY_FOLDER}/{{run}}/analysis/thin_ice.csv", run=STUDY.runs())),
        samples=ancient(
            expand(f"{STUDY_FOLDER}/{{run}}/analysis/samples.parquet", run=STUDY.runs())
        ),
        curves=ancient(expand(f"{STUDY_FOLDER}/{{run}}/analysis/curves.csv", run=STUDY.runs())),
        optimality=ancient(
            expand(f"{STUDY_FOLDER}/{{run}}/analysis/optimality.csv", run=STUDY.runs())
        ),
    output:
        report=f"{STUDY_FOLDER}/report/report.html",
        png=expand(f"{STUDY_FOLDER}/report/{{figure}}.png", figure=FIGURES),
        svg=expand(f"{STUDY_FOLDER}/report/{{figure}}.svg", figure=FIGURES),
        record=f"{STUDY_FOLDER}/report/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/report.log",
    resources:
        gpu=0,
        mem_mb=4000,
        runtime=30,
    params:
        job=STUDY.report_job(),
    message:
        "Draw the figures and write the report"
    shell:
        "python -m thin_ice report --job {params.job:q} --accuracy {input.accuracy:q}"
        " --overestimate {input.overestimate:q} --thin_ice {input.thin_ice:q}"
        " --samples {input.samples:q} --curves {input.curves:q} --optimality {input.optimality:q}"
        f"{RECORD_AND_LOG}"
