"""A job is out of date when its record is of another job, by value or by type, or of other code."""

import pytest

from thin_ice.files import canonical_json
from thin_ice.provenance.outdated import outdated
from thin_ice.provenance.planned import PlannedJob
from thin_ice.provenance.record import now, write_record

CODE = {"modules": ["thin_ice.commands.study"], "sha256": "0" * 64}
JOB = {"stage": "study", "parameters": {"option": 1, "list": [0, 0.5]}, "code": CODE}


def reasons(folder, recorded, planned, ran="0" * 64):
    """Kinds and names of what makes a job run again that was run as ``recorded``."""
    record = folder / "study" / "provenance.json"
    facts = {"code": {"sha256": ran, "as_planned": True}}
    write_record(record, recorded, [], [], now(), facts)
    job = PlannedJob("study", "study", canonical_json(planned))
    return [(one.kind, one.change.what) for one in outdated(folder, [job]).get("study", [])]


def changed(**parameters):
    return JOB | {"parameters": JOB["parameters"] | parameters}


def test_the_same_job_does_not_run_again(tmp_path):
    assert reasons(tmp_path, JOB, dict(reversed(JOB.items()))) == []


@pytest.mark.parametrize("value", [1.0, True, "1", 2, None, [1], {}])
def test_a_parameter_of_another_value_or_type_is_a_change(tmp_path, value):
    assert reasons(tmp_path, JOB, changed(option=value)) == [("parameter", "option")]
    assert reasons(tmp_path, changed(option=value), JOB) == [("parameter", "option")]


@pytest.mark.parametrize("value", [[0, 0.5, 0], [0.0, 0.5], [False, 0.5], [0.5, 0]])
def test_a_list_that_holds_something_else_is_a_change(tmp_path, value):
    kinds = {kind for kind, _ in reasons(tmp_path, JOB, changed(list=value))}
    assert kinds == {"parameter"}


def test_other_code_is_a_change_whether_it_is_planned_or_ran(tmp_path):
    planned = JOB | {"code": CODE | {"sha256": "1" * 64}}
    assert reasons(tmp_path, JOB, planned) == [("code", "fingerprint")]
    assert reasons(tmp_path, JOB, JOB, ran="1" * 64) == [("code", "fingerprint")]


def test_other_versions_of_watched_packages_are_a_change(tmp_path):
    job, upgraded = (JOB | {"software": {"numpy": version}} for version in ("1.0", "2.0"))
    assert reasons(tmp_path, job, job) == []
    assert reasons(tmp_path, job, upgraded) == [("software", "numpy")]
    assert reasons(tmp_path, JOB, job) == [("software", "numpy")]
