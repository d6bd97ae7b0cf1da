"""Validation of a data set: reads every pair once and reports all problems."""

from unetv2.data.validation.report import ClassStatistics, DatasetReport, Finding
from unetv2.data.validation.validate import validate

__all__ = ["ClassStatistics", "DatasetReport", "Finding", "validate"]
