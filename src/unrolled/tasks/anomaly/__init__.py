"""Anomaly detection: from a table of what is mostly normal to how strange each row is."""
