"""Numbers: a value, quantiles, or a distribution of each."""
