"""What the suite says about whole networks in zennit, captum and iNNvestigate."""

import importlib
import os

import pytest

from lrp_conform.candidates import adapter
from lrp_conform.candidates.sources import CandidateSource, load
from lrp_conform.cases import golden
from lrp_conform.cases.network import NetworkCase
from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import PASSES
from lrp_conform.running import runner

CASES = [case for case in golden.load_all() if isinstance(case, NetworkCase)]


def answers(name: str, dtypes: tuple[str, ...]) -> list[CaseResult]:
    """Every verdict on what the library was asked."""
    importlib.import_module("torch").set_num_threads(1)
    (candidate,) = adapter.load(name)
    return [r for r in runner.run(candidate, CASES, dtypes) if r.verdict != "unsupported"]


def test_zennit_is_right_on_its_own_composites_and_on_plain_ones_at_every_node() -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    import torchvision_shim

    torchvision_shim.install()
    pytest.importorskip("zennit", reason="zennit is not installed")
    found = answers("zennit", ("float64", "float32"))
    asked = {r.case for r in found}
    assert {c.id for c in CASES if c.composite["library"] in ("zennit", "reference")} <= asked
    assert {r.verdict for r in found} <= set(PASSES)
    assert all(r.output is not None and len(r.output["nodes"]) > 4 and r.judgement.hint is None for r in found)


def test_captum_is_right_but_for_max_pooling_and_its_z_plus() -> None:
    pytest.importorskip("captum", reason="captum is not installed")
    found = answers("captum", ("float64",))
    assert {r.case.split(".")[1] for r in found} >= {"reference", "zennit"}
    off = {r.case: r.judgement.dialect for r in found if r.verdict not in PASSES}
    assert set(off.values()) == {"captum-0.9"}
    assert {"network.reference.epsilon.convnet", "network.zennit.epsilon-plus.branches"} <= off.keys()
    assert not {"network.reference.epsilon.residual", "network.reference.zero.mlp"} & off.keys()


def test_innvestigate_is_right_on_its_own_analyzers_and_has_its_own_alpha_beta() -> None:
    python = os.environ.get("LRP_INNVESTIGATE_PYTHON")
    if python is None:
        pytest.skip("LRP_INNVESTIGATE_PYTHON is not set")
    chosen = [c for c in CASES if c.id.endswith(".mlp") and c.composite["library"] in ("innvestigate", "reference")]
    (candidate,) = load(CandidateSource("innvestigate", python))
    try:
        found = list(runner.run(candidate, chosen, ("float64",)))
    finally:
        candidate.close()
    own = [r for r in found if r.case.startswith("network.innvestigate.")]
    assert len(own) > 12
    assert {r.verdict for r in own} <= set(PASSES)
    assert all(r.judgement.hint is None and r.output is not None and len(r.output["nodes"]) == 5 for r in own)
    (named,) = (r for r in found if r.case == "network.reference.alpha2-beta1.mlp")
    assert named.judgement.dialect == "innvestigate.alpha2_beta1"
