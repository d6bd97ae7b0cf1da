"""Validation of all pairs of a data set."""

from unetv2.data.validation.report import ClassStatistics, DatasetReport, Finding
from unetv2.data.validation.validate import validate

__all__ = ["ClassStatistics", "DatasetReport", "Finding", "validate"]
