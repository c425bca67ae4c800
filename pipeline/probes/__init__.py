"""Golden probes: known images and texts that go through a worker's own path and must come out as they always did."""
