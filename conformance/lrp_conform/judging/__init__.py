"""An answer becomes a verdict: bounds, deviations by name, mistakes; `judge` is the door."""
