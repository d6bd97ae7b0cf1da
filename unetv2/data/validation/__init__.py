"""The dataset doctor: every pair of two folders read once, and all that is wrong with them."""

from unetv2.data.validation.findings import ClassStatistics, Finding
from unetv2.data.validation.report import DatasetReport
from unetv2.data.validation.validate import validate

__all__ = ["ClassStatistics", "DatasetReport", "Finding", "validate"]
