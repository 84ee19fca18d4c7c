"""The command line of the benchmarks; what they measure is not run here."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import BENCHMARKS, main


@pytest.mark.parametrize("arguments", [["--help"], ["load", "--help"]], ids=" ".join)
def test_help_tells_each_benchmark_and_its_limits(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 0
    told = capsys.readouterr().out
    for name, benchmark in BENCHMARKS.items():
        assert f"{name}: {benchmark.measures}" in told
        assert f"limits: {benchmark.limits}" in told


def test_benchmark_that_is_not_there_is_refused_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["speed"])

    assert ended.value.code == 2
    assert "there is no benchmark speed; there are ml, load" in capsys.readouterr().err
