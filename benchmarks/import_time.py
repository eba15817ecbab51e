"""What `import lrp_ref` costs beside `import numpy`: medians of fresh interpreters, in turn.

python benchmarks/import_time.py [runs]
"""

import statistics
import subprocess
import sys
import time


def seconds(statement: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    statements = {
        "nothing": "pass",
        "numpy": "import numpy",
        "lrp_ref": "import lrp_ref",
        "lrp_ref, used": "import lrp_ref; lrp_ref.propagate",
    }
    times: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(runs + 1):
        for name, statement in statements.items():
            times[name].append(seconds(statement))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:14} {median * 1e3:7.1f} ms")
    print(f"import lrp_ref / import numpy: {medians['lrp_ref'] / medians['numpy']:.2f}")


if __name__ == "__main__":
    main()
