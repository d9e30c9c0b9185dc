"""Setting weights to zero and keeping them there: `torch.nn.utils.prune`.

A pruned parameter `weight` becomes `weight_orig`, which goes on being trained, and a buffer `weight_mask` of zeros and ones; before
each forward `module.weight = weight_orig * weight_mask`. `remove` makes the product the parameter again.

Source: Han et al., arXiv:1506.02626 (by size); Li et al., arXiv:1608.08710 (whole channels).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from twinflow.core import normalize_axis
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.nn._module import Module
from twinflow.ops import argsort, cat, ones_like, randperm
from twinflow.tensor import Tensor, no_grad


def _count(op: str, amount: float, total: int) -> int:
    """How many of `total` an amount means: a share if it is a float, a number if it is an int."""
    if isinstance(amount, bool) or not isinstance(amount, (int, float)) or amount < 0:
        raise ArgumentError(f"{op}: amount is a share from 0.0 to 1.0 or a whole number from 0, not {amount!r}")
    if isinstance(amount, int):
        if amount > total:
            raise ArgumentError(f"{op}: amount {amount} is more than the {total} there are")
        return amount
    if amount > 1.0:
        raise ArgumentError(f"{op}: amount {amount} is a share, so it is at most 1.0; give a whole number for a count")
    return round(amount * total)


def _without(mask: Tensor, scores: Tensor, n: int) -> Tensor:
    """The mask with zeros also where the n smallest scores stand, among elements that the mask still keeps."""
    flat = mask.reshape(-1).clone()
    kept = flat.nonzero().reshape(-1)
    flat[kept[argsort(scores.reshape(-1)[kept])[:n]]] = 0
    return flat.reshape(tuple(mask.shape))


class BasePruningMethod:
    """One way to choose which elements become zero. A subclass defines `compute_mask(t, default_mask)`.

    It also is the forward pre-hook that applies the mask.
    """

    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        """Set the pruned tensor before each forward."""
        setattr(module, self._tensor_name, self.apply_mask(module))

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask: `default_mask` with more zeros. `t` has the importance of each element."""
        raise NotImplementedError(f"{type(self).__name__} must define compute_mask(self, t, default_mask)")

    def apply_mask(self, module: Module) -> Tensor:
        """The pruned tensor: original times mask."""
        name = self._tensor_name
        pruned: Tensor = getattr(module, f"{name}_orig") * getattr(module, f"{name}_mask")
        return pruned

    def prune(self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Tensor:
        """A pruned copy of a tensor that belongs to no module."""
        scores = t if importance_scores is None else importance_scores
        mask = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, mask)

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: Tensor | None = None, **kwargs: Any
    ) -> BasePruningMethod:
        """Prune `module.<name>`; what earlier prunings set to zero stays zero."""
        method: BasePruningMethod = cls(*args, **kwargs)
        method._tensor_name = name
        earlier = _method_of(module, name)
        with no_grad():
            if earlier is None:
                p = module._parameters.get(name)
                if p is None:
                    there = ", ".join(k for k, v in module._parameters.items() if v is not None) or "none"
                    raise ArgumentError(f"prune: {type(module).__name__} has no parameter {name!r}; it has {there}")
                original, mask = p, ones_like(p.detach())
            else:
                original, mask = getattr(module, f"{name}_orig"), getattr(module, f"{name}_mask")
            scores = original if importance_scores is None else importance_scores
            if tuple(scores.shape) != tuple(original.shape):
                raise ShapeError(
                    f"prune: importance_scores have shape {tuple(scores.shape)}, the parameter {tuple(original.shape)}"
                )
            mask = method.compute_mask(scores.detach(), mask).to(dtype=original.dtype)
        if earlier is None:
            del module._parameters[name]
            module.register_parameter(f"{name}_orig", original)
            module.register_buffer(f"{name}_mask", mask)
            module.register_forward_pre_hook(method)
        else:
            with no_grad():
                getattr(module, f"{name}_mask").copy_(mask)
            if isinstance(earlier, PruningContainer):
                earlier.add_pruning_method(method)
            else:
                joined = PruningContainer(earlier, method)
                hooks = module.__dict__["_forward_pre_hooks"]
                key = next(k for k, (hook, _) in hooks.items() if hook is earlier)
                hooks[key] = (joined, hooks[key][1])
        module.__dict__[name] = method.apply_mask(module)
        return method

    def remove(self, module: Module) -> None:
        """Make the pruned tensor the parameter again; the zeros stay, but training may change them."""
        name = self._tensor_name
        with no_grad():
            value = self.apply_mask(module)
            p: Any = module._parameters[f"{name}_orig"]
            p.copy_(value)
        hooks = module.__dict__["_forward_pre_hooks"]
        for key, (hook, _) in list(hooks.items()):
            if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
                del hooks[key]
        module.__dict__.pop(name, None)
        del module._parameters[f"{name}_orig"]
        del module._buffers[f"{name}_mask"]
        module.register_parameter(name, p)


class PruningContainer(BasePruningMethod, Sequence[BasePruningMethod]):
    """Several prunings of one tensor, one after the other."""

    def __init__(self, *methods: BasePruningMethod) -> None:
        self._methods: list[BasePruningMethod] = []
        for method in methods:
            self._tensor_name = getattr(self, "_tensor_name", method._tensor_name)
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """Add one that was applied to the same tensor."""
        if method._tensor_name != self._tensor_name:
            raise ArgumentError(f"prune: a method of {method._tensor_name!r} among those of {self._tensor_name!r}")
        self._methods.append(method)

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask after all methods in turn."""
        for method in self._methods:
            default_mask = method.compute_mask(t, default_mask)
        return default_mask

    def __len__(self) -> int:
        return len(self._methods)

    def __getitem__(self, i: Any) -> Any:
        return self._methods[i]


class Identity(BasePruningMethod):
    """Prune nothing, but make the original and the mask."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask as it is."""
        return default_mask


class _Unstructured(BasePruningMethod):
    def __init__(self, amount: float) -> None:
        self.amount = amount

    def _amount(self, mask: Tensor) -> int:
        return _count(type(self).__name__, self.amount, int(mask.sum().item()))


class RandomUnstructured(_Unstructured):
    """Prune elements by chance; `amount` is a share of those still kept, or their number."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Zeros at random places."""
        return _without(default_mask, randperm(t.numel()), self._amount(default_mask))


class L1Unstructured(_Unstructured):
    """Prune the elements that are smallest in size; `amount` is a share of those still kept, or their number."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Zeros where |t| is smallest."""
        return _without(default_mask, t.abs(), self._amount(default_mask))


class _Structured(BasePruningMethod):
    def __init__(self, amount: float, dim: int = -1) -> None:
        self.amount, self.dim = amount, dim

    def _scores(self, t: Tensor, axis: int) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define _scores(self, t, axis)")

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Zeros in whole slices along the axis: those of the smallest scores."""
        op = type(self).__name__
        if t.ndim < 2:
            raise ShapeError(f"{op}: whole channels need at least 2 axes, but the tensor has shape {tuple(t.shape)}")
        axis = normalize_axis(self.dim, t.ndim, op)
        others = tuple(i for i in range(t.ndim) if i != axis)
        kept = default_mask.amax(others)
        n = _count(op, self.amount, int(kept.sum().item()))
        slices = _without(kept, self._scores(t, axis), n)
        shape = [1] * t.ndim
        shape[axis] = -1
        return default_mask * slices.reshape(shape)


class RandomStructured(_Structured):
    """Prune whole slices along axis `dim` by chance."""

    def _scores(self, t: Tensor, axis: int) -> Tensor:
        return randperm(t.shape[axis])


class LnStructured(_Structured):
    """Prune the slices along axis `dim` whose n-norm is smallest."""

    def __init__(self, amount: float, n: float, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _scores(self, t: Tensor, axis: int) -> Tensor:
        return t.norm(self.n, dim=tuple(i for i in range(t.ndim) if i != axis))


class CustomFromMask(BasePruningMethod):
    """Prune where a mask of the parameter's shape is zero."""

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Both masks together."""
        if tuple(self.mask.shape) != tuple(t.shape):
            raise ShapeError(
                f"custom_from_mask: the mask has shape {tuple(self.mask.shape)}, the parameter {tuple(t.shape)}"
            )
        return default_mask * self.mask.to(dtype=default_mask.dtype)


def _method_of(module: Module, name: str) -> BasePruningMethod | None:
    for hook, _ in module.__dict__.get("_forward_pre_hooks", {}).values():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return hook
    return None


def identity(module: Module, name: str) -> Module:
    """Make original and mask of a parameter without pruning it."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prune elements of a parameter by chance."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Module, name: str, amount: float, importance_scores: Tensor | None = None) -> Module:
    """Prune the elements of a parameter that are smallest in size.

    Args:
        amount: a share (float) of the elements that are still kept, or how many (int).
        importance_scores: what to compare instead of the parameter itself.

    >>> import twinflow
    >>> layer = twinflow.nn.utils.prune.l1_unstructured(twinflow.nn.Linear(4, 2), "weight", amount=0.5)
    >>> int((layer.weight == 0).sum())
    4
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prune whole slices of a parameter along an axis by chance."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module, name: str, amount: float, n: float, dim: int, importance_scores: Tensor | None = None
) -> Module:
    """Prune the slices of a parameter along an axis whose n-norm is smallest."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune a parameter where the mask is zero."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prune several parameters as if they were one: the smallest elements of all of them together.

    Args:
        parameters: pairs (module, name).
        pruning_method: `L1Unstructured`, `RandomUnstructured`, or another that treats elements one by one.
        kwargs: its arguments, as amount=0.2.
    """
    pairs = list(parameters)
    if not pairs:
        raise ArgumentError("global_unstructured: there are no parameters")
    if issubclass(pruning_method, _Structured):
        raise ArgumentError(
            f"global_unstructured: {pruning_method.__name__} prunes whole slices, which parameters of different shapes do not share"
        )
    scores, masks = [], []
    for module, name in pairs:
        there = _method_of(module, name)
        t = getattr(module, name if there is None else f"{name}_orig").detach()
        scores.append((importance_scores or {}).get((module, name), t).reshape(-1))
        masks.append((ones_like(t) if there is None else getattr(module, f"{name}_mask")).reshape(-1))
    with no_grad():
        mask = pruning_method(**kwargs).compute_mask(cat(scores), cat(masks))
    at = 0
    for (module, name), one in zip(pairs, masks):
        n = one.numel()
        shape = tuple(getattr(module, name).shape)
        custom_from_mask(module, name, mask[at : at + n].reshape(shape))
        at += n


def remove(module: Module, name: str) -> Module:
    """Make the pruned tensor the parameter again; the zeros stay, but training may change them."""
    method = _method_of(module, name)
    if method is None:
        raise ArgumentError(f"prune.remove: {name!r} of this {type(module).__name__} is not pruned")
    method.remove(module)
    return module


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of one within it, is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for m in module.modules()
        for hook, _ in m.__dict__.get("_forward_pre_hooks", {}).values()
    )
