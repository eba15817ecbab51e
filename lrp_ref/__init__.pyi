# The public names, one a line, or all that a module calls public: type checkers read them here, and `__init__.py` what to
# load for which.

from lrp_ref import composites as composites
from lrp_ref import layers as layers
from lrp_ref import pictures as pictures
from lrp_ref import transforms as transforms
from lrp_ref.arrays import LRPError as LRPError
from lrp_ref.arrays import exact as exact
from lrp_ref.dialects import DIALECTS as DIALECTS
from lrp_ref.dialects import Dialect as Dialect
from lrp_ref.layers import Affine as Affine
from lrp_ref.layers import Layer as Layer
from lrp_ref.layers.activation import *
from lrp_ref.layers.linear import *
from lrp_ref.layers.lrn import *
from lrp_ref.layers.normalization import *
from lrp_ref.layers.pooling import *
from lrp_ref.layers.routing import *
from lrp_ref.network.bounds import NetworkBounds as NetworkBounds
from lrp_ref.network.composite import Assign as Assign
from lrp_ref.network.composite import Composite as Composite
from lrp_ref.network.explain import Explanation as Explanation
from lrp_ref.network.graph import Node as Node
from lrp_ref.network.network import Network as Network
from lrp_ref.network.patterns import PatternStatistics as PatternStatistics
from lrp_ref.network.patterns import fit_patterns as fit_patterns
from lrp_ref.network.patterns import pattern_statistics as pattern_statistics
from lrp_ref.onnx import load_onnx as load_onnx
from lrp_ref.propagation.gauges import Gauges as Gauges
from lrp_ref.propagation.gauges import bounds as bounds
from lrp_ref.propagation.ledger import Ledger as Ledger
from lrp_ref.propagation.ledger import NetworkLedger as NetworkLedger
from lrp_ref.propagation.matrices import Matrix as Matrix
from lrp_ref.propagation.matrices import matrix as matrix
from lrp_ref.propagation.propagate import Result as Result
from lrp_ref.propagation.propagate import messages as messages
from lrp_ref.propagation.propagate import propagate as propagate
from lrp_ref.rules import *
from lrp_ref.stabilizers import Stabilizer as Stabilizer
from lrp_ref.streaming import Explanations as Explanations
from lrp_ref.streaming import explain_many as explain_many

__version__: str
