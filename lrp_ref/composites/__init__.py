"""Composites, and the presets of named libraries: `innvestigate`, `zennit`, `relevance_propagation_jl`; and of patterns."""

from lrp_ref.composites import innvestigate, patterns, relevance_propagation_jl, zennit
from lrp_ref.composites.composite import Assign, Composite
from lrp_ref.composites.presets import PRESETS, Preset, named

__all__ = [
    "PRESETS", "Assign", "Composite", "Preset", "innvestigate", "named", "patterns", "relevance_propagation_jl", "zennit",
]  # fmt: skip
