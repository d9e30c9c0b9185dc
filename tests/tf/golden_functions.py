"""Calls of TensorFlow's functions, each as its text: what stands behind `tf.`, or behind `tf.compat.v1.` and runs in a session."""

import numpy as np
from tests.tf.golden_cases import numbers

X = numbers(3, 4, seed=11)
Y = numbers(3, 4, seed=12)
S = numbers(3, 4, seed=13) * 4 - 2  # both signs
N = np.array([[-7, 3, 0, 5], [2, -2, 9, -1], [4, 4, -6, 1]], np.int32)
M = np.array([[3, -2, 4, 5], [2, 3, -4, 7], [5, 1, 4, -3]], np.int32)
B, C = N > 0, M > 0
ODD = np.array([1.0, np.nan, -np.inf, np.inf, -0.0, 2.5], np.float32)
Z = (X + 1j * S).astype(np.complex64)
W = numbers(4, 8, seed=14).astype(np.complex64) + 1j * numbers(4, 8, seed=15).astype(np.complex64)
A = numbers(2, 3, 3, seed=16) + 3 * np.eye(3, dtype=np.float32)
SPD = A @ A.swapaxes(-1, -2)
V = numbers(2, 3, 2, seed=17)
LINE, PLANE, VOLUME = numbers(2, 9, 3, seed=18), numbers(2, 7, 6, 3, seed=19), numbers(2, 5, 4, 6, 3, seed=20)
IDS = np.array([0, 0, 2], np.int32)
MIXED = np.array([2, 0, 2], np.int32)
P = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]], np.float32)
T = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], np.float32)
SEVERAL = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]], np.float32)
SIGNED = np.array([[-1.0, 1.0, 1.0], [1.0, -1.0, -1.0]], np.float32)

LINES = """
acos(X) | acosh(X + 1) | asin(X) | asinh(S) | atan(S) | atan2(S, Y) | atanh(X * 0.9) | cos(S) | cosh(S) | sin(S) | sinh(S) | tan(S)
argmin(S) | argmin(S, 1) | argmax(S, 1, output_type='int32') | argsort(S, direction='DESCENDING') | sort(S, 0)
bitcast(X, 'int32') | bitcast(N, 'float32') | complex(X, S) | greater(S, Y) | greater_equal(N, M) | less(N, M) | less_equal(N, M)
equal(N, M) | not_equal(N, M) | logical_and(B, C) | logical_not(B) | logical_or(B, C) | math.logical_xor(B, C) | minimum(S, Y)
maximum(N, M) | meshgrid([1, 2, 3], [4, 5]) | meshgrid([1, 2, 3], [4, 5], indexing='ij') | realdiv(S, Y)
reduce_all(B) | reduce_all(B, 1) | reduce_any(C, 0, keepdims=True) | reduce_min(S) | reduce_min(N, 1) | reduce_max(S, [0, 1], True)
reduce_prod(N, 0) | reduce_mean(N, 0) | reduce_sum(N, 0) | reduce_mean(N) | reduce_logsumexp(S, 1) | roll(S, 1, 0) | roll(S, [2, -1], [0, 1]) | scalar_mul(2.0, S)
searchsorted([1.0, 3.0, 5.0], [0.0, 3.0, 6.0]) | searchsorted([[1.0, 3.0], [2.0, 4.0]], [[3.0], [3.0]], 'right') | shape_n([X, A])
space_to_batch_nd(PLANE[:, :6], [2, 3], [[0, 0], [0, 0]]) | tensor_scatter_nd_add(X, [[0], [0], [2]], Y) | tensor_scatter_nd_sub(X, [[0, 1], [2, 2]], [1.0, 2.0])
tensor_scatter_nd_update(X, [[1]], Y[:1]) | tensordot(X, Y, [[1], [1]]) | tensordot(A, V, [[2, 0], [1, 0]]) | tensordot(A[0], V, [[1], [1]]) | tensordot(X, Y, 2)
identity_n([X, N]) | histogram_fixed_width_bins([-1.0, 0.0, 1.5, 2.0, 5.0, 15.0], [0.0, 5.0], 5) | broadcast_static_shape(TensorShape([3, 1]), TensorShape([4]))
clip_by_norm(S, 1.0) | clip_by_norm(S, 1.0, 1) | clip_by_global_norm([S, X], 0.5) | clip_by_value(S, -0.5, 0.5) | cumsum(S, 1) | cumsum(S, 0, exclusive=True, reverse=True)
linalg.matmul(X, Y, transpose_b=True) | matmul(X, Y, transpose_a=True) | linalg.matvec(A, V[:, :, 0]) | linalg.matvec(A, V[:, :, 0], True) | norm(S) | norm(S, 1) | norm(S, 1, 0) | norm(S, np.inf)
norm(A, 'fro', [-2, -1]) | eye(3, 4, [2]) | fill([2, 3], 7) | linspace(0.0, 1.0, 5) | linspace([0.0, 1.0], [1.0, 3.0], 3) | range(3, 18, 4) | one_hot([0, 2, -1, 5], 3) | one_hot([[0, 2]], 3, 5.0, -1.0, axis=0)
pad(X, [[1, 0], [0, 2]]) | pad(X, [[1, 0], [2, 2]], 'REFLECT') | pad(X, [[1, 2], [0, 2]], 'SYMMETRIC') | pad(X, [[1, 0], [0, 2]], constant_values=9.0) | repeat(X, 2, 1) | repeat([1, 2, 3], [2, 0, 1])
reverse(S, [0]) | reverse_sequence(X, [2, 4, 1], 1) | gather(S, [2, 0]) | gather(S, [2, 0], axis=1) | gather(X, N % 3, axis=1, batch_dims=1) | gather_nd(S, [[0, 1], [2, 3]]) | gather_nd(A, [[[1]], [[0]]], 1)
boolean_mask(S, B) | boolean_mask(S, [True, False, True]) | boolean_mask(S, [True, False, True, False], axis=1) | where(B) | where(B, S, Y) | where(B, S, 0.0) | unique([3, 1, 3, 2]) | slice(S, [1, 0], [2, -1])
strided_slice(S, [0, 1], [3, 4], [2, 1]) | split(S, 2, 1) | split(S, [1, -1, 1], 1) | stack([X, Y], 1) | unstack(X, axis=1) | squeeze(X[:, None], 1) | expand_dims(X, -1) | tile(X, [2, 1]) | transpose(A) | transpose(A, [0, 2, 1])
transpose(Z, conjugate=True) | scatter_nd([[1], [3], [1]], X, [5, 4]) | sequence_mask([1, 3, 2]) | sequence_mask([1, 3, 2], 5, 'float32') | size(X) | rank(A) | shape(A) | zeros_like(N) | ones_like(X) | round(S * 4) | round([0.5, 1.5, -2.5])
sign(S) | sign(N) | sqrt(X) | square(N) | abs(Z) | abs(N) | pow(X, 3.0) | pow(N, 2) | exp(S) | floor(S) | negative(S) | sigmoid(S) | tanh(S) | add_n([X, Y, S]) | ensure_shape(X, [3, None]) | cast(S, 'int32') | cast([250, 300], 'uint8')
saturate_cast([-5.0, 250.0, 300.0], 'uint8') | cast(ODD[4:], 'bool') | einsum('ij,kj->ik', X, Y) | einsum('bij,bjk->bk', A, V)
math.angle(Z) | math.conj(Z) | math.real(Z) | math.imag(Z) | math.accumulate_n([X, Y]) | math.ceil(S) | math.count_nonzero(N) | math.count_nonzero(N, 1, True) | math.cumprod(S, 1) | math.cumprod(S, 0, True, True) | math.cumulative_logsumexp(S, 1) | math.cumulative_logsumexp(S, 0, True, True)
math.bessel_i0e(S) | math.bessel_i1(S) | math.bessel_i1e(S) | math.digamma(X + 0.5) | math.erf(S) | math.erfc(S) | math.erfinv(X * 0.9) | math.expm1(S) | math.floordiv(N, M) | math.floordiv(S, Y) | math.floormod(N, M) | math.mod(S, -Y)
math.igammac(X + 1, Y) | math.is_finite(ODD) | math.is_inf(ODD) | math.is_nan(ODD) | math.is_strictly_increasing([1, 2, 2]) | math.is_non_decreasing([1, 2, 2]) | math.lgamma(X + 0.5) | math.lgamma(S) | math.log1p(X) | math.log_sigmoid(S) | math.log_softmax(S)
math.multiply_no_nan(ODD, ODD * 0) | math.divide_no_nan(S, S * 0) | math.nextafter([1.0, 0.0], [2.0, 1.0]) | math.polyval([1.0, S, Y], X) | math.reciprocal(S) | math.reciprocal_no_nan([0.0, 2.0]) | math.reduce_euclidean_norm(S, 1) | math.reduce_std(S, 1)
math.reduce_variance(S) | math.reduce_variance(S, 0, True) | math.rint(S * 4) | math.rsqrt(X) | math.xdivy([0.0, 2.0], [0.0, 4.0]) | math.xlog1py([0.0, 2.0], [-1.0, 4.0]) | math.xlogy([0.0, 2.0], [0.0, 4.0]) | math.zero_fraction(N) | math.softplus(S * 20) | math.softsign(S)
math.segment_max(S, IDS) | math.segment_min(S, IDS) | math.segment_mean(S, IDS) | math.segment_sum(S, IDS) | math.segment_prod(S, IDS) | math.unsorted_segment_min(S, MIXED, 4) | math.unsorted_segment_max(S, MIXED, 4) | math.unsorted_segment_prod(S, MIXED, 4)
math.unsorted_segment_mean(S, MIXED, 4) | math.unsorted_segment_sum(S, MIXED, 4) | math.squared_difference(X, Y) | math.top_k(S, 2) | math.in_top_k([1, 2], P, 1) | math.confusion_matrix([0, 1, 2, 1], [0, 2, 2, 1]) | math.bincount([1, 1, 3]) | math.bincount([1, 1, 3], maxlength=3) | math.bincount([1, 1, 3], weights=[0.5, 1.0, 2.0], minlength=6)
math.invert_permutation([2, 0, 1]) | math.l2_normalize(S, 1) | math.reduce_all(B, 0) | math.softmax(S, 0) | math.argmin(S)
linalg.adjoint(Z) | linalg.cholesky(SPD) | linalg.cholesky_solve(linalg.cholesky(SPD), V) | linalg.diag(X) | linalg.diag(X, k=1) | linalg.diag(X[:, :2], k=-1, num_cols=4, padding_value=7.0) | linalg.diag(X[:, :2], num_rows=4, num_cols=2) | linalg.diag_part(A) | linalg.diag_part(A, k=1) | linalg.det(A) | linalg.logdet(SPD) | linalg.slogdet(-A)
linalg.inv(A) | linalg.expm(A * 0.1) | linalg.matrix_rank(A) | linalg.matrix_rank(np.ones((3, 3), np.float32)) | linalg.matrix_transpose(A) | linalg.normalize(S, axis=1) | linalg.pinv(V) | linalg.qr(A)[0] @ linalg.qr(A)[1] | linalg.set_diag(A, X[:2, :3]) | linalg.triangular_solve(A, V) | linalg.triangular_solve(A, V, False, True)
linalg.tridiagonal_solve(constant([[1.0, 2.0, 0.0], [3.0, 4.0, 5.0], [0.0, 1.0, 1.0]]), constant([1.0, 2.0, 3.0]), 'compact') | linalg.solve(A, V) | linalg.solve(A, V, True) | linalg.lstsq(V, A[:, :, :1]) | linalg.band_part(A, 1, 0) | linalg.trace(A) | linalg.cross([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]) | linalg.eigvalsh(SPD) | linalg.eigh(SPD)[0] | linalg.svd(V, compute_uv=False) | linalg.svd(A)[0]
linalg.logm(SPD.astype(np.complex64)) | linalg.sqrtm(SPD) | linalg.global_norm([X, Y]) | linalg.einsum('ij,kj->ik', X, Y) | linalg.matmul(A, V) | linalg.norm(S, axis=0) | linalg.eye(2)
nn.avg_pool(PLANE, 2, 2, 'VALID') | nn.avg_pool1d(LINE, 2, 2, 'SAME') | nn.avg_pool1d(LINE, 3, 1, 'VALID') | nn.avg_pool2d(PLANE, 3, 2, 'SAME') | nn.avg_pool3d(VOLUME, 2, 2, 'VALID') | nn.avg_pool3d(VOLUME, [1, 2, 3, 2, 1], [1, 1, 2, 1, 1], 'SAME') | nn.max_pool1d(LINE, 2, 2, 'SAME') | nn.max_pool2d(PLANE, [2, 3], 2, 'VALID')
nn.max_pool3d(VOLUME, 2, 2, 'SAME') | nn.max_pool(PLANE, 2, 1, 'SAME') | nn.conv1d(LINE, numbers(3, 3, 4), 2, 'SAME') | nn.conv1d(LINE, numbers(3, 3, 4), 1, 'VALID', dilations=2) | nn.conv2d(PLANE, numbers(3, 2, 3, 4), 2, 'SAME') | nn.conv2d(PLANE, numbers(3, 2, 3, 4), 1, [[0, 0], [1, 0], [0, 2], [0, 0]]) | nn.conv3d(VOLUME, numbers(2, 2, 3, 3, 4), [1, 1, 2, 1, 1], 'SAME')
nn.conv2d_transpose(PLANE, numbers(3, 3, 4, 3), [2, 14, 12, 4], 2) | nn.conv3d_transpose(VOLUME, numbers(2, 2, 2, 4, 3), [2, 10, 8, 12, 4], 2) | nn.atrous_conv2d_transpose(PLANE, numbers(3, 3, 4, 3), [2, 7, 6, 4], 2, 'SAME') | nn.depthwise_conv2d(PLANE, numbers(3, 3, 3, 2), [1, 1, 1, 1], 'SAME') | nn.separable_conv2d(PLANE, numbers(3, 3, 3, 2), numbers(1, 1, 6, 4), [1, 1, 1, 1], 'VALID')
nn.batch_norm_with_global_normalization(PLANE, X[0, :3], X[1, :3], Y[0, :3], Y[1, :3], 0.01, True) | nn.batch_normalization(PLANE, X[0, :3], X[1, :3], Y[0, :3], Y[1, :3], 0.01) | nn.bias_add(PLANE, X[0, :3]) | nn.crelu(S) | nn.elu(S) | nn.gelu(S) | nn.gelu(S, True) | nn.leaky_relu(S) | nn.leaky_relu(S, 0.3) | nn.relu(S) | nn.relu6(S * 6) | nn.selu(S) | nn.silu(S) | nn.swish(S) | nn.swish(S, 0.5)
nn.local_response_normalization(PLANE) | nn.lrn(PLANE, 1, 2.0, 0.5, 0.7) | nn.log_poisson_loss(X, S) | nn.log_poisson_loss(X * 4, S, True) | nn.log_softmax(S, 0) | nn.softmax(S, 0) | nn.normalize_moments(3.0, X[0] * 3, Y[0] * 9, None) | nn.moments(PLANE, [0, 1, 2]) | nn.moments(S, [1], keepdims=True) | nn.scale_regularization_loss(X[0, 0]) | nn.softplus(S) | nn.softsign(S) | nn.l2_loss(S) | nn.l2_normalize(S, 0)
nn.weighted_cross_entropy_with_logits(X, S, 2.0) | nn.sigmoid_cross_entropy_with_logits(X, S) | nn.softmax_cross_entropy_with_logits(T, P) | nn.sparse_softmax_cross_entropy_with_logits([1, 2], P) | nn.zero_fraction(N) | nn.in_top_k([1, 2], P, 1) | nn.top_k(S, 3) | nn.embedding_lookup(S, [2, 0]) | nn.depth_to_space(numbers(1, 2, 2, 8), 2) | nn.space_to_depth(PLANE[:, :6], 2)
image.grayscale_to_rgb(constant(PLANE[..., :1])) | image.rgb_to_grayscale(PLANE) | image.non_max_suppression_overlaps([[1.0, 0.5], [0.5, 1.0]], [0.9, 0.8], 2, 0.4) | image.total_variation(constant(PLANE)) | image.adjust_brightness(PLANE, 0.2) | image.adjust_contrast(PLANE, 1.5) | image.adjust_gamma(PLANE, 2.0) | image.adjust_saturation(PLANE, 0.5) | image.central_crop(PLANE, 0.5) | image.crop_to_bounding_box(PLANE, 1, 2, 3, 4)
image.pad_to_bounding_box(PLANE, 1, 2, 10, 9) | image.flip_left_right(PLANE) | image.flip_up_down(PLANE) | image.rot90(PLANE) | image.rot90(PLANE, 3) | image.transpose(PLANE) | image.per_image_standardization(PLANE) | image.psnr(PLANE, PLANE * 0.9, 1.0) | image.resize_with_crop_or_pad(PLANE, 4, 9) | image.convert_image_dtype(np.array([0, 128, 255], np.uint8)[:, None, None], 'float32') | image.convert_image_dtype(PLANE, 'uint8')
image.resize(PLANE, [14, 9]) | image.resize(PLANE, [3, 4]) | image.resize(PLANE, [14, 9], 'nearest') | image.resize(PLANE, [3, 4], antialias=True) | image.resize(PLANE, [14, 12], 'bicubic') | image.resize(PLANE, [3, 4], 'bicubic', antialias=True) | image.resize(PLANE, [5, 20], 'area') | image.resize(PLANE, [5, 9], 'area') | image.resize(PLANE, [5, 9], 'lanczos3') | image.resize(PLANE, [5, 9], 'gaussian') | image.resize(PLANE, [5, 9], 'mitchellcubic') | image.resize(PLANE, [5, 9], 'lanczos5', antialias=True) | image.resize(PLANE, [7, 3], preserve_aspect_ratio=True)
signal.fft(W) | signal.fft2d(W) | signal.fft3d(W.reshape(4, 4, 2)) | signal.fftshift(X) | signal.fftshift(X, 1) | signal.ifft(W) | signal.ifft2d(W) | signal.ifft3d(W.reshape(4, 4, 2)) | signal.ifftshift(X) | signal.rfft(X) | signal.rfft(X, [3]) | signal.irfft(W) | signal.irfft(W, [6]) | signal.rfft2d(X) | signal.irfft2d(W) | signal.hann_window(7) | signal.hann_window(8, periodic=False) | signal.kaiser_window(7) | signal.vorbis_window(8)
signal.dct(X) | signal.dct(X, 3) | signal.dct(X, norm='ortho') | signal.dct(X, 1) | signal.dct(X, 4, norm='ortho') | signal.dct(X, 3, norm='ortho') | signal.dct(X, n=6) | signal.idct(X, 4) | signal.idct(X) | signal.mdct(numbers(2, 32), 8) | signal.inverse_mdct(numbers(2, 5, 4)) | signal.mdct(numbers(2, 32), 8, norm='ortho') | signal.inverse_mdct(numbers(2, 5, 4), norm='ortho') | signal.kaiser_bessel_derived_window(8, 4.0) | signal.hamming_window(7) | signal.linear_to_mel_weight_matrix(5, 9) | signal.mfccs_from_log_mel_spectrograms(X)
strings.bytes_split('abc') | strings.upper(['ab', 'Ã']) | strings.strip([' a ', 'b']) | strings.to_number(['7', '-2'], 'int32') | strings.as_string([1.5, 2.0], precision=2)
bitwise.bitwise_and([5, 3], [6, 1]) | bitwise.bitwise_or([5, 3], [6, 1]) | bitwise.right_shift([5, -8], [1, 2])
keras.losses.binary_focal_crossentropy(SEVERAL, P) | keras.losses.categorical_focal_crossentropy(T, P) | keras.losses.categorical_generalized_cross_entropy(np.array([1, 2]), P, 0.5) | keras.losses.categorical_hinge(T, P) | keras.losses.circle(np.array([0, 1]), P) | keras.losses.cosine_similarity(T, P) | keras.losses.dice(T, P) | keras.losses.hinge(SIGNED, P) | keras.losses.squared_hinge(SIGNED, P)
keras.losses.KLDivergence()(T, P) | keras.losses.LogCosh()(T, P) | keras.losses.MeanAbsolutePercentageError()(T + 1, P) | keras.losses.MeanSquaredLogarithmicError()(T, P) | keras.losses.poisson(T, P) | keras.losses.tversky(T, P) | keras.losses.huber(T, P * 4) | keras.losses.binary_crossentropy(SEVERAL, P) | keras.losses.categorical_crossentropy(T, P, label_smoothing=0.1)
"""

V1_LINES = """
accumulate_n([X, Y]) | arg_max(S, 1) | arg_min(S, 0) | batch_gather(S, [[0, 2], [1, 1], [3, 0]]) | batch_to_space_nd(numbers(6, 2, 2, 1), [2, 3], [[0, 0], [1, 0]]) | clip_by_average_norm(S, 0.1) | count_nonzero(N, 1) | cumprod(S, 1) | diag([1.0, 2.0]) | diag_part(X[:, :3])
div(N, M) | div(S, Y) | div_no_nan(S, S * 0) | floor_div(N, M) | floordiv(N, M) | floormod(N, M) | mod(N, M) | fft(W) | ifft(W) | global_norm([X, Y]) | igammac(X + 1, Y) | lin_space(0.0, 1.0, 4) | matrix_band_part(A, 1, 0) | matrix_determinant(A) | matrix_diag(X) | matrix_diag_part(A) | matrix_set_diag(A, X[:2, :3])
matrix_inverse(A) | matrix_solve(A, V) | matrix_solve_ls(V, A[:, :, :1]) | matrix_transpose(A) | matrix_triangular_solve(A, V) | cholesky(SPD) | cholesky_solve(cholesky(SPD), V) | self_adjoint_eigvals(SPD) | self_adjoint_eig(SPD)[0] | qr(A)[0] @ qr(A)[1] | reduce_all(B, axis=1) | reduce_min(S, reduction_indices=1) | reduce_sum(S, 1, True) | reduce_mean(S, keep_dims=True)
reverse_v2(S, [1]) | rsqrt(X) | rint(S) | reciprocal(S) | segment_max(S, IDS) | segment_mean(S, IDS) | segment_min(S, IDS) | unsorted_segment_min(S, MIXED, 4) | unsorted_segment_prod(S, MIXED, 4) | space_to_batch_nd(PLANE[:, :6], [2, 3], [[0, 0], [0, 0]]) | tensor_scatter_add(X, [[0], [2]], Y[:2]) | tensor_scatter_sub(X, [[0], [2]], Y[:2]) | tensor_scatter_update(X, [[1]], Y[:1])
to_complex64(X) | to_double(X) | to_int32(S) | to_int64(S) | where_v2(B, S, 0.0) | verify_tensor_all_finite(X, 'odd') | argmax(S, dimension=1) | squeeze(X[:, None], squeeze_dims=[1]) | expand_dims(X, dim=1) | nn.softmax(S, dim=0) | nn.max_pool(PLANE, [1, 2, 2, 1], [1, 2, 2, 1], 'SAME') | nn.avg_pool(PLANE, [1, 3, 3, 1], [1, 1, 1, 1], 'VALID') | nn.xw_plus_b(X, numbers(4, 2), [1.0, 2.0])
nn.conv2d(PLANE, numbers(3, 2, 3, 4), [1, 2, 2, 1], 'SAME') | nn.softmax_cross_entropy_with_logits_v2(labels=T, logits=P) | nn.sigmoid_cross_entropy_with_logits(labels=T, logits=P) | nn.sparse_softmax_cross_entropy_with_logits(labels=[1, 2], logits=P) | nn.moments(S, [0]) | nn.l2_normalize(S, 1) | nn.embedding_lookup(S, [2, 0]) | losses.mean_squared_error(T, P) | losses.softmax_cross_entropy(T, P) | losses.sigmoid_cross_entropy(T, P) | losses.absolute_difference(T, P) | losses.hinge_loss(T, P) | losses.log_loss(T, P) | losses.huber_loss(T, P * 4) | losses.sparse_softmax_cross_entropy([1, 2], P) | losses.cosine_distance(T, P, axis=1)
image.resize_images(PLANE, [14, 9]) | image.resize_images(PLANE, [14, 9], 1) | image.resize_images(PLANE, [14, 12], 2) | image.resize_images(PLANE, [5, 9], 3) | image.resize_bicubic(PLANE, [14, 12]) | image.resize_area(PLANE, [5, 9]) | image.resize_nearest_neighbor(PLANE, [9, 9], align_corners=True) | image.resize_bilinear(PLANE, [5, 9], half_pixel_centers=True) | image.resize_bilinear(PLANE, [14, 9]) | image.resize_bilinear(PLANE, [14, 9], align_corners=True) | image.resize_nearest_neighbor(PLANE, [14, 9]) | add(X, Y) | subtract(X, Y) | multiply(X, Y)
"""


class _Names(dict):
    """What stands for the names in a line: the arrays of this module, or else TensorFlow's functions."""

    def __init__(self, tf):
        super().__init__(np=np, numbers=numbers)
        self.tf = tf

    def __missing__(self, name):
        return globals()[name] if name.isupper() else getattr(self.tf, name)


def _eagerly(line):
    return lambda tf: eval(line, {"__builtins__": {}}, _Names(tf))


def _in_a_session(line):
    def run(tf):
        v1 = tf.compat.v1
        with v1.Graph().as_default(), v1.Session() as session:
            return session.run(eval(line, {"__builtins__": {}}, _Names(v1)))

    return run


def _lines(text):
    return [line.strip() for row in text.strip().splitlines() for line in row.split("|")]


FUNCTIONS = {line: _eagerly(line) for line in _lines(LINES)} | {
    f"v1.{line}": _in_a_session(line) for line in _lines(V1_LINES)
}


def types(value):
    """The types of a result, in its structure."""
    if isinstance(value, (list, tuple)):
        return [types(v) for v in value]
    return str(np.asarray(value.numpy() if hasattr(value, "numpy") else value).dtype)
