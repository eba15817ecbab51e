"""`compare-model`: a library's explanation of a user's model beside the reference's, from files."""

from pathlib import Path
from typing import Annotated

import typer

from conformance.commands.common import fail
from lrp_ref import LRPError


def compare_model(
    model: Annotated[Path, typer.Argument(help="The model, exported to ONNX.")],
    x: Annotated[Path, typer.Argument(help="Its input, a .npy file, the batch axis first.")],
    relevance: Annotated[Path, typer.Argument(help="The library's relevance of that input, a .npy file of the same shape.")],
    composite: Annotated[str, typer.Option(help='By name, as "zennit.epsilon_plus" or "zennit.epsilon_gamma_box(-3, 3)".')],
    nodes: Annotated[Path | None, typer.Option(help="A .npz file: node name -> the relevance that arrived there.")] = None,
    values: Annotated[Path | None, typer.Option(help="A .npz file: node name -> what the library computed there.")] = None,
    target: Annotated[list[int] | None, typer.Option(help="The class; repeat it, one per sample. Default: the argmax.")] = None,
    seed: Annotated[str, typer.Option(help="What relevance starts from: logit, one, probability.")] = "logit",
    merge_batch_norm: Annotated[bool, typer.Option(help="Merge batch norms first, as the library did.")] = False,
    strip_softmax: Annotated[bool, typer.Option(help="Explain what a softmax at the output reads.")] = False,
    close: Annotated[
        float, typer.Option(help='Pass as "close", of the largest relevance, what no bound decides.', min=0)
    ] = 0.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    report: Annotated[Path | None, typer.Option(help="A folder for comparison.json, .txt and a picture.")] = None,
) -> None:
    """Judge a library's relevance of your model, end to end and node by node.

    Exit status: 0 it agrees (or is as close as asked), 1 it does not or nothing is proved, 2 usage.
    """
    from conformance.compare.comparison import screen, show
    from conformance.compare.from_files import compare_files

    chosen = None if not target else target[0] if len(target) == 1 else target
    try:
        found = compare_files(
            model, x, relevance, composite, nodes=nodes, values=values, target=chosen, seed=seed, library=relevance.name,
            merge_batch_norm=merge_batch_norm, strip_softmax=strip_softmax, close=close,
        )  # fmt: skip
        if report is not None:
            from conformance.compare.report import save

            save(found, report)
    except LRPError as error:
        fail(str(error))
    if json:
        print(found.json())
    else:
        show(found, screen())
    raise typer.Exit(0 if found.passed else 1)
