"""How output time relates to input time: `pool`, `each`, `next`, `decode`, and forecasts; knows no task."""
