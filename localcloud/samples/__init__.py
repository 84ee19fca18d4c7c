"""Small tables under the names of the public ones that the documents use, so that their statements run as printed."""

from __future__ import annotations

from localcloud.samples.tables import SampleTable, sample_tables

__all__ = ["SampleTable", "sample_tables"]
