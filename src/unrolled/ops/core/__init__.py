"""What every op stands on: registration with kernels, the walk over time, zoneout of a state, samples for tests."""
