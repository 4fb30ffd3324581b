"""Anomaly detection: from a table of what is mostly normal to how strange each row is."""

from unrolled.tasks.anomaly.detector import AnomalyDetector

__all__ = ["AnomalyDetector"]
