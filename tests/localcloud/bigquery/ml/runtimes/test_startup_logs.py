"""The filter for what TensorFlow's libraries log during their import."""

from __future__ import annotations

import os

import pytest

from localcloud.bigquery.ml.runtimes.startup_logs import without_startup_logs


def test_log_lines_of_abseil_are_removed_and_others_stay(capfd: pytest.CaptureFixture[str]) -> None:
    with without_startup_logs():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n")
        os.write(2, b"a line of another library\n")
        os.write(2, b"I0000 00:00:1764177000.123456   12345 port.cc:153] oneDNN custom operations are on.\n")
        os.write(2, b"W1126 17:00:00.123456   12345 cpu_feature_guard.cc:227] This TensorFlow binary is optimized\n")
    os.write(2, b"a line after the import\n")

    assert capfd.readouterr().err.splitlines() == ["a line of another library", "a line after the import"]


def test_the_output_of_a_failed_import_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), without_startup_logs():
        os.write(2, b"why the import fails\n")
        raise ImportError

    assert capfd.readouterr().err == "why the import fails\n"
