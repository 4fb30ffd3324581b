"""Scores of predictions: classes, spans, calibration, texts. Arrays, codes and strings in, plain numbers out."""
