"""An exact reference of Layer-wise Relevance Propagation.

>>> import lrp_ref as lrp
>>> layer = lrp.Dense(lrp.exact([[1, -1]]), lrp.exact([-1]))
>>> lrp.propagate(layer, lrp.exact([1, 1]), lrp.exact([-1]), lrp.AlphaBeta(2, 1)).relevance
array([Fraction(-2, 1), Fraction(1, 2)], dtype=object)
"""

from importlib import import_module

__version__ = "2026.11.0"


def _homes() -> tuple[dict[str, str], tuple[str, ...]]:
    """The lines of the stub: name -> module of each `from MODULE import NAME as NAME`, and the modules of `import *`."""
    stub: str = __spec__.loader.get_data(f"{__file__}i").decode()
    rows = [line.split() for line in stub.splitlines() if line.startswith("from ")]
    return {name: module for _, module, _, name, *_ in rows if name != "*"}, tuple(row[1] for row in rows if row[3] == "*")


_HOME, _WHOLE = _homes()


def __getattr__(name: str) -> object:
    """The public name, from the module that defines it: nothing is loaded before it is asked for."""
    if name == "__all__":
        return [name for name, module in _HOME.items() if module != __name__] + [
            n for names in _whole().values() for n in names
        ]
    dunder = name.startswith("__")
    home = _HOME.get(name) or (None if dunder else next((m for m, names in _whole().items() if name in names), None))
    if home is None:
        raise AttributeError(f"module 'lrp_ref' has no attribute {name!r}")
    value = import_module(f"{home}.{name}") if home == __name__ else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    public = (name for names in _whole().values() for name in names)
    return sorted({*_HOME, *public, *(name for name in globals() if name.startswith("__"))})


def _whole() -> dict[str, list[str]]:
    """The public names of the modules that the stub takes whole, which are loaded for it."""
    return {module: import_module(module).__all__ for module in _WHOLE}
