"""An answer becomes a verdict: bounds, deviations by name, known mistakes."""
