"""Start-up file for the test environment: put this folder on PYTHONPATH.

Runs tests/torchvision_shim.py when torchvision is first looked up, and costs nothing until then.
"""

import sys


class _BeforeTorchvision:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(cls)
            from importlib.util import module_from_spec, spec_from_file_location
            from pathlib import Path

            shim = Path(__file__).resolve().parents[2] / "tests" / "torchvision_shim.py"
            spec = spec_from_file_location("torchvision_shim", shim)
            module = sys.modules.setdefault("torchvision_shim", module_from_spec(spec))
            spec.loader.exec_module(module)
            module.install()


sys.meta_path.insert(0, _BeforeTorchvision)
