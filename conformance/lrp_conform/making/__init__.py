"""Where golden files come from: recipes, derivations that must agree, certificates."""
