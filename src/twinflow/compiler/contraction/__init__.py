"""Contractions: matrix products and convolutions, made of calls of one generated building block.

>>> from twinflow.compiler.contraction import AVX2, MatmulSpec, Module, emit_matmul
>>> kernel = emit_matmul(Module(), AVX2, MatmulSpec.of(64, 32, 128), name="product")
>>> kernel.flops
524288
"""

from twinflow.compiler.contraction._attention import AttentionSpec as AttentionSpec
from twinflow.compiler.contraction._attention import emit_attention as emit_attention
from twinflow.compiler.contraction._conv import emit_conv as emit_conv
from twinflow.compiler.contraction._conv_spec import ConvSpec as ConvSpec
from twinflow.compiler.contraction._fused import FusedEpilogue as FusedEpilogue
from twinflow.compiler.contraction._kernel import SLOT as SLOT
from twinflow.compiler.contraction._kernel import Kernel as Kernel
from twinflow.compiler.contraction._kernel import Phase as Phase
from twinflow.compiler.contraction._machine import AVX2 as AVX2
from twinflow.compiler.contraction._machine import AVX512 as AVX512
from twinflow.compiler.contraction._machine import SSE2 as SSE2
from twinflow.compiler.contraction._machine import Machine as Machine
from twinflow.compiler.contraction._matmul import emit_matmul as emit_matmul
from twinflow.compiler.contraction._matmul_spec import MatmulSpec as MatmulSpec
from twinflow.compiler.contraction._text import Function as Function
from twinflow.compiler.contraction._text import Module as Module
from twinflow.compiler.contraction._tile import OPERANDS as OPERANDS
from twinflow.compiler.contraction._tile import At as At
from twinflow.compiler.contraction._tile import Epilogue as Epilogue
from twinflow.compiler.contraction._transpose import TransposeSpec as TransposeSpec
from twinflow.compiler.contraction._transpose import emit_transpose as emit_transpose
