"""Figures from the finished tables, and one HTML page that needs nothing else."""

FIGURES = (
    *("accuracy", "overfitting", "overestimate", "mechanisms", "preservation", "mismatch"),
    *("certified", "smoothed", "security"),
    *("densities", "distances", "loss_by_distance", "thickness", "auroc", "rivals", "twins"),
    *("classes", "overlap", "movement"),
)
RESULTS = (
    *("headline", "indicators", "training", "overestimate", "averages", "preservation"),
    "mismatch",
    "optimality",
    *("thin_ice", "thickness", "predictors", "joint"),
    *("classes", "pies", "overlap", "movement", "sizes"),
)


rule report:
    input:
        records_if_again("report"),
        accuracy=ancient(analysed("accuracy.csv")),
        overestimate=ancient(analysed("overestimate.csv")),
        thin_ice=ancient(analysed("thin_ice.csv")),
        samples=ancient(analysed("samples.parquet")),
        curves=ancient(analysed("curves.csv")),
        optimality=ancient(analysed("optimality.csv")),
        predictors=ancient(analysed("predictors.csv")),
        thickness=ancient(analysed("thickness.csv")),
        joint=ancient(analysed("joint.csv")),
        classes=ancient(analysed("classes.csv")),
        pies=ancient(analysed("pies.csv")),
        overlap=ancient(analysed("overlap.csv")),
        movement=ancient(analysed("movement.csv")),
        sizes=ancient(analysed("sizes.csv")),
        preservation=ancient(analysed("preservation.csv")),
        certified=ancient(analysed("certified.csv")),
        training=ancient(analysed("training.csv")),
        twins=ancient(files_of(STUDY.dense_networks(), "twins/twins.parquet")),
        pictures=ancient(files_of(STUDY.dense_networks(), "twins/twins.safetensors")),
    output:
        report=report(
            f"{STUDY_FOLDER}/report/report.html",
            caption="../report/page.rst",
            category="Thin Ice",
        ),
        png=report(
            expand(f"{STUDY_FOLDER}/report/{{figure}}.png", figure=FIGURES),
            caption="../report/figure.rst",
            category="Figures",
        ),
        svg=expand(f"{STUDY_FOLDER}/report/{{figure}}.svg", figure=FIGURES),
        tex=expand(f"{STUDY_FOLDER}/report/table-{{result}}.tex", result=RESULTS),
        record=f"{STUDY_FOLDER}/report/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/report.log",
    conda:
        "../../envs/analysis.yaml"
    threads: 4  # figures are drawn side by side
    resources:
        **resources_of("report"),
    params:
        job=lambda wildcards: STUDY.report_job(),
    message:
        "Draw the figures and write the report"
    shell:
        "python -m thin_ice report --job {params.job:q} --accuracy {input.accuracy:q}"
        " --overestimate {input.overestimate:q} --thin_ice {input.thin_ice:q}"
        " --samples {input.samples:q} --curves {input.curves:q} --optimality {input.optimality:q}"
        " --predictors {input.predictors:q} --thickness {input.thickness:q}"
        " --joint {input.joint:q} --classes {input.classes:q} --pies {input.pies:q}"
        " --overlap {input.overlap:q} --movement {input.movement:q} --sizes {input.sizes:q}"
        " --preservation {input.preservation:q} --certified {input.certified:q}"
        " --training {input.training:q} --twins {input.twins:q} --pictures {input.pictures:q}"
        " --threads {threads}"
        f"{RECORD_AND_LOG}"
