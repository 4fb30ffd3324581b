"""Panels: tables of several series at one regular step, as arrays and windows."""
