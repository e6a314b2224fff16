"""A site's words: what Slurm is told, and one sentence for what cannot be used."""

import re
import signal

import pytest
import yaml
from miniature import REPOSITORY

from thin_ice.interruption import SIGNALS
from thin_ice.study.site import RESOURCES, WARNING, BadSite, Site, site_from_file, site_of

EXAMPLE = REPOSITORY / "slurm/site.example.yaml"
SCHEMA = REPOSITORY / "workflow/schemas/site.schema.yaml"


def written(tmp_path, text):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return path


def test_the_example_is_valid_and_shows_every_key():
    site, known = site_from_file(EXAMPLE), yaml.safe_load(SCHEMA.read_text())["properties"]
    assert set(vars(site)) == set(known)
    for kind in ("gpu", "cpu"):
        assert set(getattr(site, kind)) == set(known[kind]["properties"])


def test_every_key_of_the_example_reaches_slurm():
    site = site_from_file(EXAMPLE)
    for on_gpu, words in ((True, site.gpu), (False, site.cpu)):
        told = site.slurm(on_gpu)
        limits = {"max_minutes", "max_mem_mb", "extra"}
        assert {RESOURCES[key] for key in set(words) - limits} == set(told) - {"slurm_extra"}
        assert all(told[RESOURCES[key]] == words[key] for key in set(words) - limits)
        assert words["extra"] in told["slurm_extra"]
        assert site.minutes(10**6, on_gpu) == words["max_minutes"]
        assert site.mem_mb(10**6, on_gpu) == words["max_mem_mb"]
        assert (site.minutes(1, on_gpu), site.mem_mb(1, on_gpu)) == (1, 1)


def test_a_job_on_a_gpu_is_warned_before_its_time_is_up():
    assert Site().slurm(on_gpu=True) == {"slurm_extra": WARNING}
    assert Site().slurm(on_gpu=False) == {}
    own = Site(gpu={"extra": "--exclusive --signal=USR1@300"})
    assert own.slurm(on_gpu=True) == {"slurm_extra": "--exclusive --signal=USR1@300"}


def test_the_warning_is_a_signal_that_jobs_listen_to_and_goes_to_them():
    """And not to Slurm's own shell, which `B:` would have it do."""
    name, seconds = re.fullmatch(r"--signal=(\w+)@(\d+)", WARNING).groups()
    assert signal.Signals[f"SIG{name}"] in SIGNALS
    assert int(seconds) >= 60


BAD = [
    ("gpus: {}", ["'gpus'", "allowed: gflops, gpu, cpu"]),
    ("gpu: {partition: [a]}", ["gpu.partition", "['a']", "name as Slurm knows it"]),
    ("gpu: {partition: 'a b'}", ["gpu.partition", "'a b'", "without blanks"]),
    ("gpu: {model: 'a100:2'}", ["gpu.model", "'a100:2'", "letters, digits"]),
    ("cpu: {model: a100}", ["cpu", "'model'", "partition, account"]),
    ("cpu: {extra: 'mem=3'}", ["cpu.extra", "'mem=3'", "options of sbatch"]),
    ("gpu: {max_minutes: 0}", ["gpu.max_minutes", "0", "1 or more"]),
    ("gpu: {max_minutes: 1-00:00}", ["gpu.max_minutes", "'1-00:00'", "integer"]),
    ("gpu: {max_mem_mb: 1.5}", ["gpu.max_mem_mb", "1.5", "integer"]),
    ("gflops: 0", ["gflops", "0", "1 or more"]),
    ("gflops: .nan", ["gflops", "nan", "integer"]),
    ("gflops: fast", ["gflops", "'fast'", "integer"]),
    ("- gpu", ["['gpu']", "object"]),
    ("false", ["False", "object"]),
    ("{1: 2, gpus: {}}", ["unknown key 1, 'gpus'", "allowed: gflops, gpu, cpu"]),
    ("gpu:", ["gpu: None", "object"]),
    ("gpu: [", ["cannot read"]),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_a_bad_site_is_one_sentence(tmp_path, text, words):
    path = written(tmp_path, text)
    with pytest.raises(BadSite) as error:
        site_from_file(path)
    assert str(error.value).startswith("site")
    assert all(word in str(error.value) for word in [str(path), *words])


def test_the_site_is_the_named_file_or_the_checkouts_or_none(tmp_path):
    assert site_of(tmp_path, {}) == Site()
    written(tmp_path, "gflops: 5")
    assert site_of(tmp_path, {}).gflops == 5
    (tmp_path / "other.yaml").write_text("gflops: 7")
    assert site_of(tmp_path, {"THIN_ICE_SITE": str(tmp_path / "other.yaml")}).gflops == 7
    with pytest.raises(BadSite, match=r"THIN_ICE_SITE: '/no/where' is no file"):
        site_of(tmp_path, {"THIN_ICE_SITE": "/no/where"})


def test_an_empty_file_is_a_site_without_wishes(tmp_path):
    assert site_from_file(written(tmp_path, "# nothing yet\n")) == Site()
