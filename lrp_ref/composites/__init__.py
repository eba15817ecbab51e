"""Which node gets which rule: the presets of four libraries, by their names and with their meaning; and of patterns."""

from lrp_ref.composites import captum, innvestigate, patterns, relevance_propagation_jl, zennit
from lrp_ref.composites.presets import PRESETS, Preset, named
from lrp_ref.network.composite import Assign, Composite

__all__ = [
    "PRESETS", "Assign", "Composite", "Preset", "captum", "innvestigate", "named", "patterns", "relevance_propagation_jl",
    "zennit",
]  # fmt: skip
