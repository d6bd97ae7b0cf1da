"""Evaluation of models: counts, metrics, bootstrap intervals and reports."""
