"""The script of the GPU's figures runs where there is none, in miniature."""

import json

import gpu


def test_the_script_measures_in_miniature(tmp_path, capsys):
    file = tmp_path / "gpu.json"
    gpu.main(["--device", "cpu", "--miniature", "--json", str(file)])
    report = json.loads(file.read_text())
    *training, attack, verdicts = report["figures"]
    assert report["device"]["device"] == "cpu"
    assert [one["name"].split(", ", 2)[2] for one in training] == list(gpu.WAYS)
    assert all(one["value"] > 0 and one["about"]["images_per_s"] > 0 for one in training)
    assert attack["value"] > 0
    assert attack["about"]["samples"] == gpu.MINIATURE.attacked
    assert verdicts["value"] == 100.0
    assert not any(one["target"] for one in (*training, attack))
    assert attack["name"] in capsys.readouterr().out
