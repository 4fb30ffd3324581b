"""How output time relates to input time: `pool`, `each`, `next`, `ctc`, `decode`, and forecasts; knows no task."""
