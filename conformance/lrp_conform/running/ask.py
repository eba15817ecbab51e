"""One case to one candidate: its answer, or the verdict on why there is none."""

import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from copy import deepcopy
from typing import Any

import numpy as np

from lrp_conform.builders import Unsupported
from lrp_conform.candidates.adapter import Candidate
from lrp_conform.cases.golden import AnyCase
from lrp_conform.judging import judge
from lrp_conform.judging.verdict import Judgement
from lrp_conform.wire.harness import Broken, Crashed, Stopped, TimedOut
from lrp_conform.wire.remote import Exhausted, RemoteError

Array = Any


class NotComposable(Exception):
    """A case that one-hot answers cannot be composed to: nothing is known of the candidate."""


class InvalidAnswer(Exception):
    """A one-hot answer that cannot be added to the others."""


def judged(candidate: Candidate, case: AnyCase, dtype: str, device: str) -> tuple[Judgement, Mapping[str, Any] | None]:
    missing = sorted(case.features - candidate.features)
    if missing:
        return Judgement("unsupported", detail={"why": "does not declare " + ", ".join(missing)}), None
    if dtype not in case.data["representable_in"]:
        return Judgement("indeterminate", detail={"why": f"the data do not fit into {dtype}"}), None
    failure, output = answer(candidate, case, dtype, device)
    if failure is not None:
        return failure, None
    assert output is not None
    return judge.judge(case, dict(output), dtype, composed=candidate.one_hot), output


def answer(candidate: Candidate, case: AnyCase, dtype: str, device: str) -> tuple[Judgement | None, Mapping[str, Any] | None]:
    """The candidate's output, or the verdict on why there is none."""
    try:
        # stdout belongs to the report: what a library in this process prints goes to stderr
        with warnings.catch_warnings(), np.errstate(all="ignore"), redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            asked = case.adapter_case(dtype, device)
            output = compose(candidate.run, asked) if candidate.one_hot else candidate.run(asked)
    except (SystemExit, GeneratorExit) as end:
        return _no("crash", f"{type(end).__name__}: the candidate tried to end the process"), None
    except NotComposable as why:
        return _no("indeterminate" if judge.zero_is_expected(case, dtype) else "forward-mismatch", why), None
    except InvalidAnswer as why:
        return _no("invalid-output", why), None
    except ImportError as why:
        return Judgement("not-run", detail={"why": str(why), "missing": True}), None
    except Exhausted as why:
        return _no("not-run", why), None
    except TimedOut as why:
        return _no("timeout", why), None
    except Crashed as why:
        return _no("crash", why), None
    except Broken as why:
        return _no("error", f"breaks the protocol: {why}"), None
    except RemoteError as error:
        return _no("error", str(error).split("\n")[0][:300]), None
    except Stopped:
        raise KeyboardInterrupt from None
    except Exception as error:
        if type(error).__name__ == Unsupported.__name__:  # an adapter may bring its own
            return _no("unsupported-undeclared", error), None
        return _no("error", f"{type(error).__name__}: {error}".split("\n")[0][:300]), None
    if not isinstance(output, Mapping):
        return _no("invalid-output", f"expected a dict, got {type(output).__name__}"), None
    if "unsupported" in output:
        return _no("unsupported-undeclared", output["unsupported"]), None
    return None, {name: _own(given) for name, given in output.items()}


def _no(verdict: str, why: object) -> Judgement:
    return Judgement(verdict, detail={"why": str(why)})


def _own(given: Any) -> Any:
    """A copy of what a candidate returned, which may be a buffer that its next call writes to."""
    if isinstance(given, list | tuple):
        return [_own(part) for part in given]
    if isinstance(given, Mapping):
        return {name: _own(part) for name, part in given.items()}
    return given.copy() if isinstance(given, np.ndarray) else given


def compose(run_one: Callable[[dict[str, Any]], Mapping[str, Any]], asked: dict[str, Any]) -> Mapping[str, Any]:
    """An arbitrary relevance from one-hot answers, which is possible because relevance is linear in R for fixed x.

    R_in = sum_j (R_j / y_j) attribution(target = j), sample by sample, added up in float64 and rounded once.
    """
    several = isinstance(asked["x"], list)
    xs = asked["x"] if several else [asked["x"]]
    ys: list[Array] = []
    parts: list[list[Array]] = []
    for n in range(xs[0].shape[0]):
        single = [x[n : n + 1] for x in xs]
        base = {k: v for k, v in asked.items() if k != "relevance"} | {"x": single if several else single[0]}
        wanted = asked["relevance"][n].reshape(-1).astype(np.float64)
        total: list[Array] = [np.zeros(x.shape, np.float64) for x in single]
        y: Array = None
        for j in range(wanted.size):
            if wanted[j] == 0 and y is not None:
                continue
            answer = run_one(deepcopy({**base, "target": j}))
            if isinstance(answer, Mapping) and "unsupported" in answer:
                return answer
            y, given = _one_hot(answer, single, wanted.size, asked["dtype"])
            logit = float(y.reshape(-1)[j])
            if logit == 0 and wanted[j] != 0:
                raise NotComposable(f"relevance at output {j}, which is 0, cannot be composed from one-hot answers")
            if wanted[j] != 0:
                total = [t + wanted[j] / logit * g.astype(np.float64) for t, g in zip(total, given, strict=True)]
        ys.append(y)
        parts.append(total)
    joined = [np.concatenate([p[k] for p in parts]).astype(asked["dtype"]) for k in range(len(xs))]
    return {"y": np.concatenate(ys), "relevance": joined if several else joined[0]}


def _one_hot(answer: Any, xs: list[Array], outputs: int, dtype: str) -> tuple[Array, list[Array]]:
    """y and the relevances of one one-hot answer, in the shapes and the dtype that were asked for."""
    if not isinstance(answer, Mapping):
        raise InvalidAnswer(f"expected a dict, got {type(answer).__name__}")
    given = answer.get("relevance")
    arrays = list(given) if isinstance(given, list | tuple) else [given]
    for name, array, shape in [
        ("y", answer.get("y"), None),
        *(("relevance", a, x.shape) for a, x in zip(arrays, xs, strict=False)),
    ]:
        if not isinstance(array, np.ndarray) or str(array.dtype) != dtype:
            raise InvalidAnswer(f"{name}: expected an ndarray of {dtype}, got {getattr(array, 'dtype', type(array).__name__)}")
        if (shape is not None and array.shape != shape) or (shape is None and array.size != outputs):
            raise InvalidAnswer(f"{name}: expected shape {shape or f'of {outputs} outputs'}, got {array.shape}")
    if len(arrays) != len(xs):
        raise InvalidAnswer(f"expected {len(xs)} relevances, got {len(arrays)}")
    return np.array(answer["y"]), arrays
