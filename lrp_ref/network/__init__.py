"""Many layers: a graph of named nodes, a rule for each, the backward pass, its bounds."""
