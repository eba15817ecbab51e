"""An exact reference of Layer-wise Relevance Propagation.

>>> import lrp_ref as lrp
>>> layer = lrp.Dense(lrp.exact([[1, -1]]), lrp.exact([-1]))
>>> lrp.propagate(layer, lrp.exact([1, 1]), lrp.exact([-1]), lrp.AlphaBeta(2, 1)).relevance
array([Fraction(-2, 1), Fraction(1, 2)], dtype=object)
"""

from importlib import import_module

__version__ = "2026.11.0"


def _homes() -> dict[str, str]:
    """Public name -> the module that defines it, from the lines `from MODULE import NAME as NAME` of the stub."""
    stub: str = __spec__.loader.get_data(f"{__file__}i").decode()
    rows = [line.split() for line in stub.splitlines() if line.startswith("from ")]
    return {name: module for _, module, _, name, *_ in rows}


_HOME = _homes()
__all__ = [name for name, module in _HOME.items() if module != __name__]


def __getattr__(name: str) -> object:
    """The public name, from the module that defines it: nothing is loaded before it is asked for."""
    if name not in _HOME:
        raise AttributeError(f"module 'lrp_ref' has no attribute {name!r}")
    home = _HOME[name]
    value = import_module(f"{home}.{name}") if home == __name__ else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*_HOME, *(name for name in globals() if name.startswith("__"))})
