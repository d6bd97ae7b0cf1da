"""The dataset doctor: every pair of two folders read once, and all that is wrong with them."""

from unetv2.data.checking.doctor import check_dataset
from unetv2.data.checking.findings import ClassStatistics, Finding
from unetv2.data.checking.report import DatasetReport

__all__ = ["ClassStatistics", "DatasetReport", "Finding", "check_dataset"]
