"""The command line of the benchmarks; the benchmarks themselves do not run here."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import BENCHMARKS, main


@pytest.mark.parametrize("arguments", [["--help"], ["load", "--help"]], ids=" ".join)
def test_help_describes_each_benchmark_and_its_limits(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 0
    text = capsys.readouterr().out
    for name, benchmark in BENCHMARKS.items():
        assert f"{name}: {benchmark.measures}" in text
        assert f"limits: {benchmark.limits}" in text


def test_an_unknown_benchmark_is_refused_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["speed"])

    assert ended.value.code == 2
    assert f"there is no benchmark speed; there are: {', '.join(BENCHMARKS)}" in capsys.readouterr().err
