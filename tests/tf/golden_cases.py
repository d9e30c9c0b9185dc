"""Calls whose results tools/tf_goldens.py computes with TensorFlow and test_goldens.py with ours."""

import numpy as np


def numbers(*shape, seed=0, shift=0.0):
    return (np.random.RandomState(seed).rand(*shape) + shift).astype(np.float32)


IMG = numbers(2, 6, 5, 3)
X = numbers(4, 6, seed=1)
BIG, OTHER = numbers(1, 12, 12, 2, seed=2), numbers(1, 12, 12, 2, seed=3)
BOXES = np.array([[0.1, 0.2, 0.9, 1.0], [0.0, 0.0, 1.2, 0.5]], np.float32)
RIVALS = np.array([[0, 0, 1, 1], [0, 0, 0.9, 0.9], [0.5, 0.5, 1, 1], [0, 0, 0.2, 0.2]], np.float32)
A = numbers(3, 3, seed=4) + 3 * np.eye(3, dtype=np.float32)
D = numbers(3, 4, seed=5) + np.array([[0], [3], [0]], np.float32)
K = numbers(3, 3, 3, 4, seed=6)
F2 = numbers(2, 2, 3, seed=7)
LOGITS = numbers(7, 2, 5, seed=8)
SIGNAL = numbers(2, 50, seed=9)

CASES = {
    "space_to_batch": lambda tf: tf.space_to_batch(IMG, [2, 3], [[1, 1], [0, 1]]),
    "batch_to_space": lambda tf: tf.batch_to_space(numbers(12, 4, 2, 3), [2, 3], [[1, 1], [0, 1]]),
    "dynamic_partition": lambda tf: tf.dynamic_partition(X, [0, 1, 0, 2], 3),
    "dynamic_stitch": lambda tf: tf.dynamic_stitch([[0, 2], [1, 3]], [X[:2], X[2:]]),
    "unravel_index": lambda tf: tf.unravel_index([3, 7, 22], [4, 6]),
    "unique_with_counts": lambda tf: tf.unique_with_counts([1, 1, 3, 2, 3, 7]),
    "histogram": lambda tf: tf.histogram_fixed_width([-1.0, 0.0, 1.5, 2.0, 5.0, 15.0], [0.0, 5.0], nbins=5),
    "scatter_max": lambda tf: tf.tensor_scatter_nd_max(X, [[0], [2]], X[1:3] * 2),
    "scatter_min": lambda tf: tf.tensor_scatter_nd_min(X, [[0, 1], [2, 3]], [0.1, 0.2]),
    "truncatediv": lambda tf: tf.truncatediv(np.array([-7, 7]), np.array([2, 2])),
    "truncatemod": lambda tf: tf.truncatemod(np.array([-7, 7]), np.array([2, 2])),
    "rgb_to_yuv": lambda tf: tf.image.rgb_to_yuv(IMG),
    "rgb_to_yiq": lambda tf: tf.image.rgb_to_yiq(IMG),
    "rgb_to_hsv": lambda tf: tf.image.rgb_to_hsv(IMG),
    "hsv_to_rgb": lambda tf: tf.image.hsv_to_rgb(IMG),
    "yuv_to_rgb": lambda tf: tf.image.yuv_to_rgb(IMG),
    "yiq_to_rgb": lambda tf: tf.image.yiq_to_rgb(IMG),
    "adjust_hue": lambda tf: tf.image.adjust_hue(IMG, 0.3),
    "crop_and_resize": lambda tf: tf.image.crop_and_resize(IMG, BOXES, [0, 1], [4, 3]),
    "crop_nearest": lambda tf: tf.image.crop_and_resize(IMG, BOXES, [0, 1], [4, 3], method="nearest"),
    "extract_patches": lambda tf: tf.image.extract_patches(IMG, [1, 2, 3, 1], [1, 2, 1, 1], [1, 1, 1, 1], "SAME"),
    "patches_with_gaps": lambda tf: tf.image.extract_patches(IMG, [1, 2, 2, 1], [1, 1, 1, 1], [1, 2, 1, 1], "VALID"),
    "non_max_suppression": lambda tf: tf.image.non_max_suppression(RIVALS, [0.5, 0.9, 0.3, 0.7], 3, 0.5),
    "draw_bounding_boxes": lambda tf: tf.image.draw_bounding_boxes(IMG, BOXES[:, None], np.array([[1.0, 0, 0]], np.float32)),
    "resize_with_pad": lambda tf: tf.image.resize_with_pad(IMG, 8, 8),
    "image_gradients": lambda tf: tf.image.image_gradients(tf.constant(IMG)),
    "sobel_edges": lambda tf: tf.image.sobel_edges(tf.constant(IMG)),
    "ssim": lambda tf: tf.image.ssim(BIG, OTHER, 1.0),
    "bessel_i0": lambda tf: tf.math.bessel_i0(X),
    "bessel_i1e": lambda tf: tf.math.bessel_i1e(X),
    "ndtri": lambda tf: tf.math.ndtri(X * 0.9 + 0.05),
    "erfcinv": lambda tf: tf.math.erfcinv(X * 0.9 + 0.05),
    "igamma": lambda tf: tf.math.igamma(X + 1, X),
    "zeta": lambda tf: tf.math.zeta(X + 2, X + 1),
    "polygamma": lambda tf: tf.math.polygamma(2.0, X[0] + 1),
    "lbeta": lambda tf: tf.math.lbeta(X + 1),
    "segment_sqrt_n": lambda tf: tf.math.unsorted_segment_sqrt_n(X, [0, 1, 0, 0], 3),
    "lu": lambda tf: tf.linalg.lu(A),
    "lu_reconstruct": lambda tf: tf.linalg.lu_reconstruct(*tf.linalg.lu(A)),
    "lu_solve": lambda tf: tf.linalg.lu_solve(*tf.linalg.lu(A), A[:, :1]),
    "lu_matrix_inverse": lambda tf: tf.linalg.lu_matrix_inverse(*tf.linalg.lu(A)),
    "sqrtm": lambda tf: tf.linalg.sqrtm(A @ A.T),
    "tensor_diag": lambda tf: tf.linalg.tensor_diag(X[:2, :2]),
    "tensor_diag_part": lambda tf: tf.linalg.tensor_diag_part(numbers(2, 3, 2, 3)),
    "tridiagonal_matmul": lambda tf: tf.linalg.tridiagonal_matmul(D, X[:, :2]),
    "convolution": lambda tf: tf.nn.convolution(IMG, K, padding="SAME"),
    "atrous_conv2d": lambda tf: tf.nn.atrous_conv2d(IMG, K, 2, "SAME"),
    "conv1d_transpose": lambda tf: tf.nn.conv1d_transpose(X[None, :, :2], numbers(3, 5, 2), [1, 8, 5], 2),
    "conv_transpose": lambda tf: tf.nn.conv_transpose(IMG, numbers(2, 2, 4, 3), [2, 12, 10, 4], 2),
    "pool_max": lambda tf: tf.nn.pool(IMG, [2, 2], "MAX", strides=[2, 2], padding="SAME"),
    "pool_avg": lambda tf: tf.nn.pool(IMG, [2, 2], "AVG", padding="VALID"),
    "max_pool_with_argmax": lambda tf: tf.nn.max_pool_with_argmax(IMG, 2, 2, "SAME"),
    "argmax_with_batch": lambda tf: tf.nn.max_pool_with_argmax(IMG, 2, 2, "VALID", include_batch_in_index=True),
    "dilation2d": lambda tf: tf.nn.dilation2d(IMG, F2, [1, 1, 1, 1], "SAME", "NHWC", [1, 1, 1, 1]),
    "erosion2d": lambda tf: tf.nn.erosion2d(IMG, F2, [1, 2, 1, 1], "VALID", "NHWC", [1, 1, 1, 1]),
    "ctc_loss": lambda tf: tf.nn.ctc_loss(
        np.array([[1, 2, 2], [3, 1, 0]], np.int32), LOGITS, np.array([3, 2], np.int32), np.array([7, 6], np.int32), blank_index=0
    ),
    "compute_average_loss": lambda tf: tf.nn.compute_average_loss(X[0], global_batch_size=10),
    "weighted_moments": lambda tf: tf.nn.weighted_moments(X, [0], X * 2),
    "sufficient_statistics": lambda tf: tf.nn.sufficient_statistics(X, [0])[:3],
    "stft": lambda tf: tf.signal.stft(SIGNAL, 16, 8),
    "inverse_stft": lambda tf: tf.signal.inverse_stft(
        tf.signal.stft(SIGNAL, 16, 8), 16, 8, window_fn=tf.signal.inverse_stft_window_fn(8)
    ),
    "frame": lambda tf: tf.signal.frame(SIGNAL, 10, 4, pad_end=True),
    "hamming_window": lambda tf: tf.signal.hamming_window(8),
    "overlap_and_add": lambda tf: tf.signal.overlap_and_add(SIGNAL.reshape(2, 5, 10), 4),
    "strings.lower": lambda tf: tf.strings.lower(["Ab", "C"]),
    "strings.length": lambda tf: tf.strings.length(["Ab", "Cel"]),
    "strings.join": lambda tf: tf.strings.join([["a", "b"], ["c", "d"]], "-"),
    "strings.reduce_join": lambda tf: tf.strings.reduce_join([["a", "b"], ["c", "d"]], 1),
    "strings.substr": lambda tf: tf.strings.substr(["hello", "world"], 1, 3),
    "strings.regex_replace": lambda tf: tf.strings.regex_replace(["a1", "b22"], r"[0-9]+", "#"),
    "strings.regex_full_match": lambda tf: tf.strings.regex_full_match(["a1", "b"], r"[a-z][0-9]"),
    "strings.to_number": lambda tf: tf.strings.to_number(["1.5", "2"]),
    "strings.split": lambda tf: tf.strings.split("a b c"),
    "strings.as_string": lambda tf: tf.strings.as_string([1, 2]),
    "bitwise": lambda tf: [
        tf.bitwise.left_shift(np.array([1, 5]), np.array([2, 1])),
        tf.bitwise.invert(np.array([1, 5])),
        tf.bitwise.bitwise_xor(np.array([1, 5]), np.array([2, 1])),
    ],
    "broadcast_dynamic_shape": lambda tf: tf.broadcast_dynamic_shape([2, 1], [3]),
    "nest": lambda tf: tf.nest.flatten(tf.nest.map_structure(lambda a, b: a + b, {"b": 1, "a": 2}, {"b": 3, "a": 4})),
}  # fmt: skip


def flat(value):
    """The arrays of a result, as lists that JSON holds."""
    if isinstance(value, dict):
        value = [value[k] for k in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [a for v in value for a in flat(v)]
    array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    if array.dtype.kind in "SOU":
        return [[v.decode() if isinstance(v, bytes) else str(v) for v in array.reshape(-1)]]
    if array.dtype.kind == "c":
        array = np.stack([array.real, array.imag], -1)
    return [np.round(array.astype(np.float64), 5).tolist()]
