"""The libraries that are asked by name: what they hand on at every module of a torch model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lrp_conform.compare.recording import Call, recorded
from lrp_ref.arrays import Array, LRPError
from lrp_ref.composites.presets import PresetCall


@dataclass(frozen=True, eq=False)
class Request:
    """A model (a copy, which may be damaged), what it is asked at, and by which of the library's composites.

    start: the relevance at the output, an array; target and seed are what it was made of.
    """

    model: Any
    x: Any
    composite: PresetCall
    start: Array
    target: Any
    seed: Any
    canonizers: Any


Explained = tuple[list[Call], Array]


def zennit(question: Request, plain: list[Call]) -> Explained:
    """zennit's composite of that name with its canonizers; the gradients that leave and enter its hooks."""
    try:
        import torch
        from zennit import composites
    except ModuleNotFoundError as error:
        raise LRPError(f"zennit: {error.name} is not installed; pip install torch torchvision zennit") from None
    name = "".join(part.capitalize() for part in question.composite.preset.short.split("_"))
    x = question.x.clone().requires_grad_()
    arguments = [torch.full_like(x, float(a)) for a in question.composite.arguments]  # of EpsilonGammaBox: low, high
    options = {
        key: torch.full_like(x, float(value)) if key in ("low", "high") else value
        for key, value in question.composite.options.items()
    }
    canonizers = _canonizers(question.model) if question.canonizers is None else list(question.canonizers)
    composite = getattr(composites, name)(*arguments, **options, canonizers=canonizers)
    with composite.context(question.model) as hooked, recorded(hooked) as calls:
        (relevance,) = torch.autograd.grad(hooked(x), x, torch.as_tensor(question.start, device=x.device))
    return calls, relevance.cpu().numpy()


def _canonizers(model: Any) -> list[Any]:
    """What zennit offers for this model: the ResNet's where torchvision's blocks are found, else that of batch norms."""
    from torchvision.models.resnet import BasicBlock, Bottleneck
    from zennit.canonizers import SequentialMergeBatchNorm
    from zennit.torchvision import ResNetCanonizer

    residual = any(isinstance(module, BasicBlock | Bottleneck) for module in model.modules())
    return [ResNetCanonizer() if residual else SequentialMergeBatchNorm()]


def captum(question: Request, plain: list[Call]) -> Explained:
    """captum's LRP with its default rules, and its relevance at the outputs of modules that have one; it seeds the logit."""
    try:
        import torch
        from captum.attr import LRP, LayerLRP
        from captum.attr._core.lrp import SUPPORTED_LAYERS_WITH_RULES
        from captum.attr._utils.lrp_rules import EpsilonRule
    except ModuleNotFoundError as error:
        raise LRPError(f"captum: {error.name} is not installed; pip install torch captum") from None
    if question.seed != "logit" or getattr(question.target, "ndim", 0) > 1:
        raise LRPError("captum explains the logit of one class per sample; use seed='logit' and a class or 'argmax'")
    epsilon = float(question.composite.options.get("epsilon", (*question.composite.arguments, 1e-9)[0]))
    kinds = tuple(SUPPORTED_LAYERS_WITH_RULES)
    layers = {name: module for name, module in question.model.named_modules() if type(module) in kinds}

    def ruled() -> Any:  # captum deletes the rules after every call
        for module in layers.values():
            module.rule = EpsilonRule(epsilon=epsilon)
        return question.model

    x, target = question.x.clone(), torch.as_tensor(question.target)
    try:
        relevance = LRP(ruled()).attribute(x, target=target)
        arrived = LayerLRP(ruled(), list(layers.values())).attribute(x, target=target)
    except (TypeError, RuntimeError, AssertionError) as error:
        raise LRPError(f"captum cannot explain the model: {' '.join(str(error).split())[:240]}") from None
    by_path = dict(zip(layers, arrived, strict=True))
    for call in plain:
        found = by_path.get(call.path)
        call.arrived = None if found is None else found.detach().cpu().numpy()
    return plain, relevance.detach().cpu().numpy()


EXPLAINERS: dict[str, Callable[[Request, list[Call]], Explained]] = {"zennit": zennit, "captum": captum}
