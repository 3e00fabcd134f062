"""The twelve sample patches: real, whole, and accounted for line by line."""

import re
from importlib.resources import files

from app import checks
from app.candidates import Candidate, Severity
from app.formats import success_memory
from app.formats.lines import parse_line

SAMPLES = files("app") / "samples"


def read_samples() -> list[Candidate]:
    lines = SAMPLES.joinpath("success_memory.jsonl").read_bytes().split(b"\n")
    entries = [parse_line(line) for line in lines[:-1]]
    assert lines[-1] == b""
    return [success_memory.read(entry) for entry in entries if entry is not None]


def test_the_samples_show_every_generation_and_both_kinds_of_change() -> None:
    samples = read_samples()
    assert len(samples) == 12
    assert {sample.generation for sample in samples} == {"G1", "G2", "G3", "G4", "G5", "G6"}
    assert any(sample.diff and sample.diff.count("\n") >= 100 for sample in samples)
    signs = [re.findall(r"^[+-](?![+-]{2} )", sample.diff or "", re.MULTILINE) for sample in samples]
    assert any("+" in found and "-" not in found for found in signs)
    assert any("-" in found and "+" not in found for found in signs)


def test_enough_samples_train_and_their_issues_differ() -> None:
    trainable = [
        sample
        for sample in read_samples()
        if sample.script and all(finding.severity is not Severity.HOLD for finding in checks.run(sample))
    ]
    assert len(trainable) >= 8
    assert len({sample.issue for sample in trainable}) == len(trainable)


def test_every_sample_names_its_commit_and_licence() -> None:
    readme = SAMPLES.joinpath("README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (\S+/\S+) \| `([0-9a-f]{40})` \| `(\S+)` \| (\S+) \|", readme, re.MULTILINE)
    assert [int(row[0]) for row in rows] == list(range(1, 13))
    licences = {path.name for path in SAMPLES.joinpath("LICENSES").iterdir()}
    for (_, repository, _, file, _), sample in zip(rows, read_samples(), strict=True):
        assert f"{repository.replace('/', '_')}.LICENSE.txt" in licences
        assert file in sample.target_files
