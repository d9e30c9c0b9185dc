"""Masks: which steps of a sequence count. A layer that makes one attaches it to its result, and those behind it find it there."""

from __future__ import annotations

import weakref
from typing import Any

from twinflow.core import DType, tree_leaves
from twinflow.ops import where
from twinflow.tensor import Tensor

_MASKS: dict[int, tuple[weakref.ref[Tensor], Tensor]] = {}  # by the tensor's identity, as long as it lives


def any_masks() -> bool:
    """Whether any living tensor has a mask: where none has, calls of layers need not look."""
    return bool(_MASKS)


def set_mask(x: Tensor, mask: Tensor | None) -> None:
    """Attach a mask to a tensor, or take it away."""
    key = id(x)
    if mask is None:
        _MASKS.pop(key, None)
        return
    _MASKS[key] = (weakref.ref(x, lambda _: _MASKS.pop(key, None)), mask)


def get_mask(x: Any) -> Tensor | None:
    """The mask of a tensor: bool [N, T], True where a step counts; or None."""
    found = _MASKS.get(id(x))
    return found[1] if found is not None and found[0]() is x else None


def get_masks(tree: Any) -> Any:
    """The masks of all tensors of a list or dict, in its structure; a single tensor gives its own."""
    if isinstance(tree, (list, tuple)):
        return [get_masks(x) for x in tree]
    if isinstance(tree, dict):
        return {k: get_masks(v) for k, v in tree.items()}
    return get_mask(tree)


def set_masks(tree: Any, masks: Any) -> None:
    """Attach a structure of masks to the tensors of the same structure."""
    if isinstance(tree, dict):
        for k, v in tree.items():
            set_masks(v, masks[k] if isinstance(masks, dict) else masks)
    elif isinstance(tree, (list, tuple)):
        each = masks if isinstance(masks, (list, tuple)) else [masks] * len(tree)
        for x, m in zip(tree, each):
            set_masks(x, m)
    elif isinstance(tree, Tensor) and isinstance(masks, Tensor):
        set_mask(tree, masks)


def has_mask(masks: Any) -> bool:
    """Whether there is any mask in a structure of them."""
    return any(isinstance(m, Tensor) for m in tree_leaves(masks))


def converted(x: Tensor, dtype: DType) -> Tensor:
    """A tensor in another type, with its mask."""
    made = x.to(dtype=dtype)
    set_mask(made, get_mask(x))
    return made


def as_weights(mask: Tensor, like: Tensor, mean: bool) -> Tensor:
    """A mask as weights. For a mean over all elements they are count / valid, so that it becomes the mean over the valid ones."""
    w = mask.to(dtype=like.dtype)
    if not mean:
        return w
    valid = w.sum()
    return w * where(valid == 0, 0.0, w.numel() / where(valid == 0, 1.0, valid))
