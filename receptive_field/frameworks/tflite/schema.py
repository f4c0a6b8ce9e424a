"""The parts of the schema of TensorFlow Lite that the wing reads, as text.

A test compares them with the schema that TensorFlow generates its reader from.
"""

from __future__ import annotations

from typing import NamedTuple


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


BUILTINS = _words(
    """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE
DEQUANTIZE EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION
L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL
RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH
CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD
UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE
MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE
BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE
BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2
GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE
TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT
REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK
REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE
RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE
CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG
QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4
NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL
PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG
REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL
CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS
RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU
DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX
UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT
STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE STABLEHLO_MULTIPLY
STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE
STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE
STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE
STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM
STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT
STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER
STABLEHLO_COMPARE STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE
STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL
STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER
STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW
STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
"""
)
"""The names of the builtin ops, by number."""

TYPES = _words(
    """
FLOAT32 FLOAT16 INT32 UINT8 INT64 STRING BOOL INT16 COMPLEX64 INT8 FLOAT64 COMPLEX128
UINT64 RESOURCE VARIANT UINT32 UINT16 INT4 BFLOAT16 INT2 UINT4
"""
)
"""The names of the data types, by number."""

PADDINGS = ("SAME", "VALID")
ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
MIRROR_MODES = ("REFLECT", "SYMMETRIC")
"""The names of the numbers of other enumerations."""


class Field(NamedTuple):
    """A field of a table of options."""

    number: int
    name: str
    letter: str
    """The format of a number in the module `struct`, or ``s`` for a text."""
    is_vector: bool
    default: int


def _tables(text: str) -> dict[int, tuple[Field, ...]]:
    """Returns the fields of each table, by the table's number in its union.

    A table begins at the start of a line. ``-`` is a field that no rule reads.
    """
    found: dict[int, tuple[Field, ...]] = {}
    for line in text.strip().replace("\n ", "").splitlines():
        number, *fields = line.split()
        found[int(number)] = tuple(
            _field(place, field) for place, field in enumerate(fields) if field != "-"
        )
    return found


def _field(number: int, text: str) -> Field:
    name, _, kind = text.partition(":")
    kind, _, default = kind.partition("=")
    letter = kind.strip("[]")
    return Field(number, name, letter, kind != letter, int(default or 0))


OPTIONS = _tables(
    """
1 padding:b stride_w:i stride_h:i fused_activation_function:b dilation_w_factor:i=1
  dilation_h_factor:i=1
2 padding:b stride_w:i stride_h:i - fused_activation_function:b
  dilation_w_factor:i=1 dilation_h_factor:i=1
5 padding:b stride_w:i stride_h:i filter_width:i filter_height:i
  fused_activation_function:b
6 rank:i
8 fused_activation_function:b - keep_num_dims:?
10 axis:i fused_activation_function:b
11 fused_activation_function:b
13 radius:i bias:f alpha:f beta:f
15 - - align_corners:? half_pixel_centers:?
16 subgraph:I
17 new_shape:[i]
19 block_size:i
21 fused_activation_function:b
23 axis:i batch_dims:i
27 keep_dims:?
28 fused_activation_function:b
29 fused_activation_function:b
30 squeeze_dims:[i]
31 time_major:? fused_activation_function:b
32 begin_mask:i end_mask:i ellipsis_mask:i new_axis_mask:i shrink_axis_mask:i
  offset:?
35 num_splits:i
49 padding:b stride_w:i stride_h:i fused_activation_function:b
59 - axis:i
61 axis:i
64 num:i axis:i
69 fused_activation_function:b - - merge_outputs:? time_major:?=1
70 time_major:? fused_activation_function:b merge_outputs:?
71 fused_activation_function:b - - time_major:?
74 align_corners:? half_pixel_centers:?
77 mode:b
79 num_splits:i
87 seq_dim:i batch_dim:i
92 then_subgraph_index:i else_subgraph_index:i
93 cond_subgraph_index:i body_subgraph_index:i
94 block_size:i
101 adj_x:? adj_y:?
102 exclusive:? reverse:?
103 init_subgraph_index:i
106 padding:b stride_d:i stride_w:i stride_h:i fused_activation_function:b
  dilation_d_factor:i=1 dilation_w_factor:i=1 dilation_h_factor:i=1
111 container:s shared_name:s
"""
)
"""The tables of the union BuiltinOptions."""

OPTIONS_2 = _tables(
    """
1 dimension:q
2 broadcast_dimensions:[q]
3 start_indices:[q] limit_indices:[q] strides:[q]
4 window_strides:[q] padding:[q] lhs_dilation:[q] rhs_dilation:[q]
  window_reversal:[?] input_batch_dimension:q input_feature_dimension:q
  input_spatial_dimensions:[q] kernel_input_feature_dimension:q
  kernel_output_feature_dimension:q kernel_spatial_dimensions:[q]
  output_batch_dimension:q output_feature_dimension:q output_spatial_dimensions:[q]
  feature_group_count:q batch_group_count:q
6 dimensions:[q] body_subgraph_index:i
7 - update_window_dims:[q] inserted_window_dims:[q] scatter_dims_to_operand_dims:[q]
  index_vector_dim:q unique_indices:? update_computation_subgraph_index:i
8 comparison_direction:I compare_type:I
9 slice_sizes:[q]
10 edge_padding_low:[q] edge_padding_high:[q] interior_padding:[q]
11 iota_dimension:q
12 lhs_batching_dimensions:[q] rhs_batching_dimensions:[q]
  lhs_contracting_dimensions:[q] rhs_contracting_dimensions:[q]
13 window_dimensions:[q] window_strides:[q] base_dilations:[q] window_dilations:[q]
  padding:[q] body_subgraph_index:i
15 cond_subgraph_index:i body_subgraph_index:i
16 offset_dims:[q] collapsed_slice_dims:[q] start_index_map:[q] index_vector_dim:q
  slice_sizes:[q]
17 permutation:[q]
20 reduce_function:i
21 name:s decomposition_subgraph_index:i composite_attributes:[B]
  composite_attributes_format:b version:i
23 branch_subgraph_indices:[i]
"""
)
"""The tables of the union BuiltinOptions2."""
