"""The study as resolved: every default filled in, beside the results it explains."""


rule study:
    input:
        records_if_again("study"),
    output:
        study=f"{STUDY_FOLDER}/study/study.yaml",
        record=f"{STUDY_FOLDER}/study/provenance.json",
    log:
        f"{STUDY_FOLDER}/logs/study.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        job=lambda wildcards: STUDY.study_job(),
    message:
        "Save the resolved study"
    shell:
        "python -m thin_ice study --job {params.job:q}" f"{RECORD_AND_LOG}"
