"""`compare-model`: a library's explanation of a user's model beside the reference's, from files."""

from pathlib import Path

import click

from lrp_ref.commands.commandline import OneOf, argument, command, option, switch

FILE = click.Path(path_type=Path)


@command("compare-model")
@argument("model", type=FILE, about="The model, exported to ONNX.")
@argument("x", type=FILE, about="Its input, a .npy file, the batch axis first.")
@argument("relevance", type=FILE, about="The library's relevance of that input, a .npy file of the same shape.")
@option("--composite", required=True, help='By name, as "zennit.epsilon_plus" or "zennit.epsilon_gamma_box(-3, 3)".')
@option("--nodes", type=FILE, help="A .npz file: node name -> the relevance that arrived there.")
@option("--values", type=FILE, help="A .npz file: node name -> what the library computed there.")
@option("--target", type=int, multiple=True, help="The class; repeat it, one per sample. Not given: the argmax.")
@option("--seed", type=OneOf(lambda: ("logit", "one", "probability")), default="logit", help="What relevance starts from.")
@switch("merge-batch-norm", help="Merge batch norms first, as the library did.")
@switch("strip-softmax", help="Explain what a softmax at the output reads.")
@option(
    "--close",
    type=click.FloatRange(min=0),
    default=0.0,
    help='Pass as "close", of the largest relevance, what no bound decides.',
)
@option("--json", is_flag=True, help="Print JSON.")
@option("--report", type=FILE, help="A folder for comparison.json, .txt and a picture.")
def compare_model(
    model: Path, x: Path, relevance: Path, composite: str, nodes: Path | None, values: Path | None, target: tuple[int, ...],
    seed: str, merge_batch_norm: bool, strip_softmax: bool, close: float, json: bool, report: Path | None,
) -> int:  # fmt: skip
    """Judge a library's relevance of your model, end to end and node by node.

    Exit status: 0 it agrees (or is as close as asked), 1 it does not or nothing is proved, 2 usage.
    """
    from lrp_conform.compare.comparison import screen, show
    from lrp_conform.compare.from_files import compare_files

    chosen = None if not target else target[0] if len(target) == 1 else list(target)
    found = compare_files(
        model, x, relevance, composite, nodes=nodes, values=values, target=chosen, seed=seed, library=relevance.name,
        merge_batch_norm=merge_batch_norm, strip_softmax=strip_softmax, close=close,
    )  # fmt: skip
    if report is not None:
        from lrp_conform.compare.report import save

        save(found, report)
    if json:
        print(found.json())
    else:
        show(found, screen())
    return 0 if found.passed else 1
