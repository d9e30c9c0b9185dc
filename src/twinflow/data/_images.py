"""Data sets of images: handwritten digits, MNIST and its like, folders of pictures.

An image is a float32 tensor [C, H, W] with values from 0 to 1; labels are whole numbers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from twinflow.core.errors import DataError, missing_extra
from twinflow.data._datasets import Dataset
from twinflow.data._download import download as fetch
from twinflow.data._idx import find_idx, read_idx
from twinflow.ops import from_numpy
from twinflow.tensor import Tensor

Transform = Callable[[Any], Any] | None


class ImageArrays(Dataset):
    """Images and labels held in memory.

    Args:
        images: uint8 [N, H, W] or [N, C, H, W], scaled by 1/255 when they are read; or floating values.
        labels: whole numbers [N].
        transform: applied to each image, a float32 tensor [C, H, W].
        target_transform: applied to each label.
    """

    classes: Sequence[str] = ()

    def __init__(
        self,
        images: np.ndarray[Any, Any],
        labels: np.ndarray[Any, Any],
        transform: Transform = None,
        target_transform: Transform = None,
    ) -> None:
        if images.ndim == 3:
            images = images[:, None]
        if images.ndim != 4:
            raise DataError(f"images: an array [N, H, W] or [N, C, H, W] is needed, not {images.shape}")
        if labels.shape != images.shape[:1]:
            raise DataError(f"images: {images.shape[0]} images, but labels of shape {labels.shape}")
        self._images = images
        self._labels = labels.astype(np.int64)
        self.transform = transform
        self.target_transform = target_transform
        if transform is None and target_transform is None:
            self.get_batch = self._get_batch

    @property
    def data(self) -> Tensor:
        """All images as they are stored."""
        return from_numpy(self._images)

    @property
    def targets(self) -> Tensor:
        """All labels, int64 [N]."""
        return from_numpy(self._labels)

    def _scaled(self, images: np.ndarray[Any, Any]) -> Tensor:
        values = images.astype(np.float32)
        return from_numpy(values / np.float32(255) if images.dtype == np.uint8 else values)

    def _get_batch(self, indices: Sequence[int]) -> list[Tensor]:
        rows = np.asarray(indices, np.int64)
        return [self._scaled(self._images[rows]), from_numpy(self._labels[rows])]

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        image: Any = self._scaled(self._images[index])
        label: Any = int(self._labels[index])
        if self.transform is not None:
            image = self.transform(image)
        return image, label if self.target_transform is None else self.target_transform(label)

    def __len__(self) -> int:
        return len(self._labels)


class Digits(ImageArrays):
    """The 1,797 handwritten digits that scikit-learn carries: images [1, 8, 8], labels 0 to 9.

    Args:
        train: the 1,437 digits to learn from, or the 360 held out; None gives all. The split is always the same.
        transform, target_transform: applied to each image and label.
    Source: E. Alpaydin and C. Kaynak 1998, UCI Machine Learning Repository, test set.

    >>> import twinflow
    >>> held_out = twinflow.data.Digits(train=False)
    >>> len(held_out), held_out[0][0].shape
    (360, twinflow.Size([1, 8, 8]))
    """

    classes = tuple("0123456789")
    _N_TRAIN = 1437

    def __init__(
        self, train: bool | None = True, transform: Transform = None, target_transform: Transform = None
    ) -> None:
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise missing_extra("the digits data set", "scikit-learn", "digits") from None
        found = load_digits()
        order = np.random.Generator(np.random.PCG64(0)).permutation(len(found.target))
        rows = order if train is None else order[: self._N_TRAIN] if train else order[self._N_TRAIN :]
        super().__init__((found.images[rows] / 16).astype(np.float32), found.target[rows], transform, target_transform)


class MNIST(ImageArrays):
    """MNIST's handwritten digits from their IDX files: 60,000 images [1, 28, 28] to learn from, 10,000 held out.

    Args:
        root: the folder with the files (gzipped or not), or the one above `MNIST/raw`.
        train: which part.
        transform, target_transform: applied to each image and label.
        download: fetch files that are missing; nothing is fetched unless this is asked for.
        mirror: where to fetch from instead.
    Raises: DataError if files are missing or damaged, naming them.
    Source: LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition".
    """

    classes: Sequence[str] = tuple("0123456789")
    _mirror: ClassVar[str] = "https://ossci-datasets.s3.amazonaws.com/mnist/"
    _md5: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
        *,
        mirror: str | None = None,
    ) -> None:
        name, folder = type(self).__name__, Path(root)
        folders = [folder, folder / name / "raw"]
        part = "train" if train else "t10k"
        arrays = []
        for kind, ndim in (("images", 3), ("labels", 1)):
            file = f"{part}-{kind}-idx{ndim}-ubyte"
            path = find_idx(folders, file)
            if path is None and download:
                path = folder / name / "raw" / f"{file}.gz"
                fetch((mirror or self._mirror) + path.name, path, self._md5[path.name])
            if path is None:
                raise DataError(f"{name}: there is no {file} (or {file}.gz) in {folder}; download=True fetches it")
            array = read_idx(path)
            if array.ndim != ndim or array.dtype != np.uint8:
                raise DataError(
                    f"{name}: {path} holds {array.dtype} of shape {array.shape}, not uint8 with {ndim} axes"
                )
            arrays.append(array)
        images, labels = arrays
        if len(images) != len(labels):
            raise DataError(f"{name}: {len(images)} images, but {len(labels)} labels, in {folder}")
        if labels.size and labels.max() >= len(self.classes):
            raise DataError(f"{name}: label {labels.max()} among the {len(self.classes)} classes from 0, in {folder}")
        super().__init__(images, labels, transform, target_transform)


class FashionMNIST(MNIST):
    """Zalando's pictures of clothes, in MNIST's format; arguments as for MNIST.

    Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747.
    """

    classes = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
    _mirror = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    _md5: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    }


class ImageFolder(Dataset):
    """Pictures sorted into one folder per class: `root/cat/1.png` is a cat.

    Args:
        root: the folder; classes are its sub-folders in alphabetical order.
        transform: applied to each image, a float32 tensor [C, H, W] (C is 3, or 1 with mode "L").
        target_transform: applied to each label, the position of the class.
        mode: "RGB", or "L" for grey.
    Raises: DataError if there are no classes or no pictures, or, when it is read, for a picture that is damaged.
    """

    EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Transform = None,
        target_transform: Transform = None,
        *,
        mode: str = "RGB",
    ) -> None:
        folder = Path(root)
        if not folder.is_dir():
            raise DataError(f"ImageFolder: there is no folder {folder}")
        self.classes = sorted(p.name for p in folder.iterdir() if p.is_dir())
        self.class_to_idx = {name: k for k, name in enumerate(self.classes)}
        if not self.classes:
            raise DataError(f"ImageFolder: {folder} has no sub-folders; each class needs one")
        self.samples = [
            (str(path), k)
            for k, name in enumerate(self.classes)
            for path in sorted((folder / name).rglob("*"))
            if path.suffix.lower() in self.EXTENSIONS
        ]
        if not self.samples:
            raise DataError(f"ImageFolder: no pictures ({', '.join(self.EXTENSIONS)}) below {folder}")
        self.targets = [k for _, k in self.samples]
        self.transform = transform
        self.target_transform = target_transform
        self.mode = mode

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        path, label = self.samples[index]
        image: Any = load_image(path, self.mode)
        if self.transform is not None:
            image = self.transform(image)
        return image, label if self.target_transform is None else self.target_transform(label)

    def __len__(self) -> int:
        return len(self.samples)


def load_image(path: str | os.PathLike[str], mode: str = "RGB") -> Tensor:
    """A picture as a float32 tensor [C, H, W] with values from 0 to 1.

    Raises: DataError, naming the file, if it is missing, damaged or no picture.
    """
    try:
        from PIL import Image
    except ImportError:
        raise missing_extra("reading pictures", "pillow", "images") from None
    try:
        with Image.open(path) as picture:
            values = np.asarray(picture.convert(mode), np.float32) / np.float32(255)
    except FileNotFoundError:
        raise DataError(f"picture: there is no file {os.fspath(path)}") from None
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise DataError(f"picture: {os.fspath(path)} cannot be read: {type(error).__name__}: {error}") from None
    return from_numpy(np.ascontiguousarray(values[None] if values.ndim == 2 else values.transpose(2, 0, 1)))
