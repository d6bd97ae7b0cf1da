"""Damaged files: a small part of `benchmarks/mutants.py`, which reads 20,000 of all kinds."""

from __future__ import annotations

import io
import zipfile

import pytest
from mutant_files import Kind, kinds, summary
from mutants import FAULTS, judge, main, mutant_of, prepared, shares
from mutations import Mutant

KINDS = {kind.name: kind for kind in kinds()}
CHEAP = [
    "classes, JSON", "classes, CSV", "artifact, description", "artifact, network",
    "artifact, .tflite", "artifact, .onnx", "checkpoint", "run.json",
]  # fmt: skip


@pytest.mark.parametrize("name", CHEAP)
def test_damaged_files_are_read_as_they_were_or_refused_by_name(name, tmp_path):
    kind = KINDS[name]
    path = tmp_path / "own" / prepared(kind, tmp_path / "own")
    content, expected = path.read_bytes(), summary(kind.read(path))
    results = [
        judge(kind, path, mutant_of(kind, content, seed=1, number=number), expected)
        for number in range(60)
    ]
    assert not [result for result in results if result.fault]
    assert {"refused"} <= {result.outcome for result in results} <= {"refused", "same", "other"}


def test_the_same_seed_gives_the_same_mutants():
    kind, content = KINDS["run.json"], b'{"seed": 0}' * 9

    def mutants(seed):
        return [mutant_of(kind, content, seed, number) for number in range(50)]

    assert mutants(3) == mutants(3)
    assert mutants(3) != mutants(4)


def test_checksums_are_made_to_fit_where_a_format_has_some(tmp_path):
    path = tmp_path / "own" / prepared(KINDS["checkpoint"], tmp_path / "own")
    content = path.read_bytes()
    mutants = [mutant_of(KINDS["checkpoint"], content, 0, number) for number in range(80)]
    forged = [one for one in mutants if one.forged]
    assert 5 < len(forged) < 60
    for one in forged:
        assert zipfile.ZipFile(io.BytesIO(one.content)).testzip() is None


def kind(read, **options):
    return Kind("a kind", lambda folder: folder, read, **options)


def fails(error):
    def read(path):
        raise error(f"'{path}' is broken")

    return read


@pytest.mark.parametrize(
    ("read", "outcome", "fault"),
    [
        (lambda _: 1, "same", False),
        (lambda _: 2, "other", True),
        (fails(ValueError), "refused", False),
        (fails(FileNotFoundError), "refused", False),
        (fails(KeyError), "unnamed", True),
        (fails(MemoryError), "unnamed", True),
        (lambda _: [][0], "unnamed", True),
        (lambda _: int("a"), "unnamed", True),
    ],
)
def test_every_outcome_is_told_apart(tmp_path, read, outcome, fault):
    changed = Mutant(b"changed", "all")
    found = judge(kind(read, sealed=True), tmp_path / "a.bin", changed, summary(1))
    assert (found.outcome, found.fault) == (outcome, fault)
    assert (outcome in FAULTS) <= fault


def test_what_takes_much_memory_is_a_fault(tmp_path, monkeypatch):
    resident = iter([0, 2**30])
    monkeypatch.setattr("mutants._resident", lambda: next(resident))
    found = judge(kind(lambda _: 1), tmp_path / "a.bin", Mutant(b"", "all"), summary(1))
    assert (found.outcome, found.fault) == ("memory", True)


def test_another_result_is_a_fault_where_a_checksum_is_over_all(tmp_path):
    for sealed, digest, forged, fault in (
        (False, False, False, False),
        (True, False, False, True),
        (True, False, True, False),
        (True, True, True, True),
    ):
        one = kind(lambda _: 2, sealed=sealed, digest=digest)
        changed = Mutant(b"changed", "all", forged)
        assert judge(one, tmp_path / "a.bin", changed, summary(1)).fault is fault


def test_every_kind_gets_a_mutant_and_slow_ones_fewer():
    chosen = [KINDS["run.json"], KINDS[".keras"]]
    assert shares(chosen, 140) == [100, 40]
    assert shares(chosen, 0) == [1, 1]


@pytest.mark.slow
def test_the_command_reads_mutants_in_processes_of_their_own(capsys, tmp_path):
    words = ["--mutants", "40", "--only", "run.json", "classes, CSV", "--workers", "1"]
    assert main([*words, "--keep", str(tmp_path / "faults")]) == 0
    assert "40 mutants, 0 faults" in capsys.readouterr().out
