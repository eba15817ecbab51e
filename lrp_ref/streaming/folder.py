"""What lies on the disk: one folder per run.

    run.json                        what the run is, so that no other run is continued here
    batches/00000/00000017.npy      the relevance of batch 17, and beside it
    batches/00000/00000017.ndjson   a line for every image of it
    summary.json                    how many images there were, once all are done

Every file is written under another name and renamed when it is whole. The lines of a batch come after its relevance: where
they are, the batch is done. Nothing is ever changed in place, so that processes on a shared file system need no locks.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from lrp_ref.arrays import Array, LRPError
from lrp_ref.files.arrays import opened_for_writing, write_file

Row = dict[str, Any]
PER_FOLDER = 1000  # batches: few enough for a folder to be listed at once


class Explanations:
    """What `explain_many` left in the folder `out`: read from the disk when it is asked for.

    `len` is the number of images done so far, `[i]` the relevance of image i as `keep` left it (NaN for one that failed).
    """

    def __init__(self, out: str | os.PathLike[str]) -> None:
        self.path = Path(out).resolve()
        self.run = _json(self.path / "run.json")
        if self.run is None:
            raise LRPError(f"{self.path} holds no explanations; expected the folder given to explain_many as out=")

    def __repr__(self) -> str:
        return f"Explanations({str(self.path)!r}: {len(self)} images, {'complete' if self.complete else 'unfinished'})"

    @property
    def complete(self) -> bool:
        """Whether all images are done."""
        return (self.path / "summary.json").exists()

    def __len__(self) -> int:
        summary = _json(self.path / "summary.json")
        if summary is not None:
            return int(summary["images"])
        return sum(len(self.relevance(k)) for k in self.done())

    def __getitem__(self, i: int) -> Array:
        batch, row = divmod(i, self.run["batch"])
        relevance = self.relevance(batch) if i >= 0 and self.is_done(batch) else ()
        if row >= len(relevance):
            raise IndexError(f"image {i} is not among the explanations")
        return np.array(relevance[row])

    def rows(self) -> Iterator[Row]:
        """A line for every image done, in order: number, name, top class and score, and sums of its relevance; or `error`."""
        for k in sorted(self.done()):
            yield from self.table(k)

    def assembled(self, path: str | os.PathLike[str]) -> Path:
        """The relevance of all images as one `.npy` file, (N, ...), copied batch by batch. Refused before all are done."""
        if not self.complete:
            raise LRPError(f"{self.path} is unfinished; repeat explain_many to continue it")
        first, total = self.relevance(0), len(self)
        with opened_for_writing(Path(path), durable=True) as file:
            header = np.lib.format.header_data_from_array_1_0(first) | {"shape": (total, *first.shape[1:])}
            np.lib.format.write_array_header_1_0(file, header)
            for k in range(-(-total // self.run["batch"])):
                part = self.relevance(k)
                if (part.shape[1:], part.dtype) != (first.shape[1:], first.dtype):
                    raise LRPError(
                        f"batch {k} keeps {part.dtype} {part.shape}, the first {first.dtype} {first.shape}; mend keep="
                    )
                file.write(np.ascontiguousarray(part).data)
        return Path(path)

    def done(self) -> set[int]:
        """The numbers of the batches that are done."""
        found = (self.path / "batches").glob("*/*.ndjson")
        return {k for k in (int(one.stem) for one in found if one.stem.isdigit()) if self.is_done(k)}

    def is_done(self, k: int) -> bool:
        """Whether batch k is on the disk."""
        return self._file(k, "ndjson").exists() and self._file(k, "npy").exists()

    def relevance(self, k: int) -> Array:
        """The relevance of batch k, mapped into memory."""
        found: Array = np.load(self._file(k, "npy"), mmap_mode="r", allow_pickle=False)
        return found

    def table(self, k: int) -> list[Row]:
        """The lines of batch k."""
        return [json.loads(line) for line in self._file(k, "ndjson").read_text("utf-8").splitlines()]

    def write(self, k: int, relevance: Any, rows: Sequence[Row]) -> None:
        """Batch k, whole or not at all."""
        with opened_for_writing(self._file(k, "npy"), durable=True) as file:
            np.lib.format.write_array(file, np.ascontiguousarray(relevance), allow_pickle=False)
        with opened_for_writing(self._file(k, "ndjson"), durable=True) as file:
            file.writelines(f"{json.dumps(row)}\n".encode() for row in rows)

    def finish(self, images: int) -> None:
        """Says that the run is complete, and clears away what killed processes left."""
        for left in chain(self.path.glob(".*"), self.path.glob("plan-*"), self.path.glob("batches/*/.*")):
            left.unlink(missing_ok=True)
        write_json(self.path / "summary.json", {"images": images, "failed": sum("error" in row for row in self.rows())})

    def _file(self, k: int, kind: str) -> Path:
        return self.path / "batches" / f"{k // PER_FOLDER:05d}" / f"{k:08d}.{kind}"


def opened(out: Path, identity: Mapping[str, Any]) -> Explanations:
    """The folder `out`, made unless it is there. Raises `LRPError` where it holds anything but this run."""
    from lrp_ref.streaming.identity import differences  # which a reader of results does without

    if not (out / "run.json").exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise LRPError(f"out: {out} is there and holds something else; give a new folder, or one of explain_many's")
        write_json(out / "run.json", identity)
    found = Explanations(out)
    if identity["arithmetic"] is None and found.run["arithmetic"] is not None:  # from here on it is mixed, for good
        found.run["arithmetic"] = None
        write_json(out / "run.json", found.run)
    differ = differences(found.run, json.loads(json.dumps(identity)))
    if differ:
        advice = "; strict=False mixes arithmetics" if all(one.startswith("arithmetic") for one in differ) else ""
        raise LRPError(f"out: {out} holds another run: {'; '.join(differ)} differs; give another folder{advice}")
    return found


def write_json(path: Path, value: Any) -> None:
    """`value` as JSON, whole or not at all."""
    write_file(path, f"{json.dumps(value, indent=1)}\n", durable=True)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise LRPError(f"{path} is damaged; remove the folder and run again") from None
