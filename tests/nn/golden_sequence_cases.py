"""Cases of recurrent layers and attention; see `golden_cases.py`. R is `nn.utils.rnn`."""

RECURRENT = [
    "nn.RNNCell(4, 5) | f(3, 4), f(3, 5)", "nn.RNNCell(4, 5, bias=False, nonlinearity='relu') | f(4)", "nn.LSTMCell(4, 5) | f(3, 4), (f(3, 5), f(3, 5))",
    "nn.LSTMCell(4, 5, bias=False) | f(3, 4)", "nn.GRUCell(4, 5) | f(3, 4), f(3, 5)", "nn.GRUCell(4, 5, bias=False) | f(4), f(5)",
    "nn.RNN(4, 5) | f(6, 3, 4)", "nn.RNN(4, 5, 2, 'relu', batch_first=True, bidirectional=True) | f(3, 6, 4), f(4, 3, 5)", "nn.RNN(4, 5, bias=False) | f(6, 4)",
    "nn.LSTM(4, 5) | f(6, 3, 4)", "nn.LSTM(4, 5, 2, bidirectional=True, batch_first=True) | f(3, 6, 4), (f(4, 3, 5), f(4, 3, 5))",
    "nn.LSTM(4, 5, 2, bidirectional=True, proj_size=3) | f(6, 3, 4), (f(4, 3, 3), f(4, 3, 5))", "nn.LSTM(4, 5, bias=False) | f(6, 4), (f(1, 5), f(1, 5))",
    "nn.GRU(4, 5) | f(1, 3, 4), f(1, 3, 5)", "nn.GRU(4, 5, 3, bidirectional=True) | f(6, 3, 4), f(6, 3, 5)", "nn.GRU(4, 5, bias=False, batch_first=True) | f(3, 6, 4)",
]  # fmt: skip
PACKED = [
    "nn.RNN(4, 5, bidirectional=True) | R.pack_padded_sequence(f(6, 3, 4), [6, 4, 1])",
    "nn.LSTM(4, 5, 2, bidirectional=True, batch_first=True) | R.pack_padded_sequence(f(3, 6, 4), [2, 5, 4], batch_first=True, enforce_sorted=False), (f(4, 3, 5), f(4, 3, 5))",
    "nn.LSTM(4, 5, proj_size=2) | R.pack_sequence([f(2, 4), f(5, 4), f(5, 4)], enforce_sorted=False), (f(1, 3, 2), f(1, 3, 5))",
    "nn.GRU(4, 5, 2, bidirectional=True) | R.pack_padded_sequence(f(6, 3, 4), [1, 6, 3], enforce_sorted=False), f(4, 3, 5)",
    "nn.GRU(4, 5) | R.pack_padded_sequence(f(6, 3, 4), [6, 6, 6])",
    "R.pad_packed_sequence(R.pack_padded_sequence(f(6, 3, 4), [2, 6, 3], enforce_sorted=False), padding_value=0.5, total_length=8)",
    "R.pad_packed_sequence(R.pack_padded_sequence(f(3, 6), [4, 2, 1], batch_first=True), batch_first=True)",
    "R.pad_sequence([f(2, 3), f(4, 3)], batch_first=True, padding_value=-1.0)", "R.pad_sequence([f(2), f(4), f(1)], padding_side='left')",
    "R.unpack_sequence(R.pack_sequence([f(2, 3), f(4, 3)], enforce_sorted=False))",
]  # fmt: skip
MASK = "a(0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0).reshape(3, 4).bool()"
ATTENTION = [
    "F.scaled_dot_product_attention(f(2, 2, 3, 6), f(2, 2, 4, 6), f(2, 2, 4, 5))", "F.scaled_dot_product_attention(f(3, 6), f(4, 6), f(4, 5), scale=0.3)",
    "F.scaled_dot_product_attention(f(2, 5, 4), f(2, 5, 4), f(2, 5, 4), is_causal=True)", f"F.scaled_dot_product_attention(f(2, 3, 6), f(2, 4, 6), f(2, 4, 5), attn_mask={MASK})",
    "F.scaled_dot_product_attention(f(2, 3, 6), f(2, 4, 6), f(2, 4, 5), attn_mask=f(2, 3, 4))", "F.scaled_dot_product_attention(f(2, 4, 3, 6), f(2, 2, 5, 6), f(2, 2, 5, 6), enable_gqa=True)",
    "nn.MultiheadAttention(6, 2) | f(3, 2, 6), f(4, 2, 6), f(4, 2, 6)", "nn.MultiheadAttention(6, 3, bias=False, batch_first=True) | f(2, 3, 6), f(2, 4, 6), f(2, 4, 6), average_attn_weights=False",
    "nn.MultiheadAttention(6, 2) | f(3, 6), f(4, 6), f(4, 6), key_padding_mask=a(0, 1, 0, 0).bool()",
    f"nn.MultiheadAttention(6, 2, kdim=4, vdim=5, add_bias_kv=True) | f(3, 2, 6), f(4, 2, 4), f(4, 2, 5), attn_mask={MASK}",
    f"nn.MultiheadAttention(6, 2, add_zero_attn=True, add_bias_kv=True, batch_first=True) | f(2, 3, 6), f(2, 4, 6), f(2, 4, 6), a(0, 0, 1, 0, 1, 0, 0, 0).reshape(2, 4).bool(), attn_mask={MASK}",
    "nn.MultiheadAttention(6, 2) | f(3, 2, 6), f(4, 2, 6), f(4, 2, 6), attn_mask=f(4, 3, 4)",
]  # fmt: skip

TRANSFORMER = [
    "nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0) | f(4, 2, 6)",
    "nn.TransformerEncoderLayer(6, 3, 8, dropout=0.0, activation='gelu', batch_first=True, norm_first=True, bias=False) | f(2, 4, 6), src_key_padding_mask=a(0, 0, 1, 1, 0, 0, 0, 0).reshape(2, 4).bool()",
    "nn.TransformerDecoderLayer(6, 2, 8, dropout=0.0) | f(3, 2, 6), f(4, 2, 6), nn.Transformer.generate_square_subsequent_mask(3)",
    "nn.TransformerDecoderLayer(6, 2, 8, dropout=0.0, norm_first=True, activation=F.silu) | f(3, 6), f(4, 6), memory_key_padding_mask=a(0, 0, 1, 0).bool()",
    "nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0), 2, nn.LayerNorm(6)) | f(4, 2, 6)",
    "nn.Transformer(6, 2, 1, 2, 8, dropout=0.0) | f(4, 2, 6), f(3, 2, 6), tgt_mask=nn.Transformer.generate_square_subsequent_mask(3)",
    "nn.Transformer(6, 2, 1, 1, 8, dropout=0.0, batch_first=True, norm_first=True) | f(2, 4, 6), f(2, 3, 6)",
]  # fmt: skip

CASES = [*RECURRENT, *PACKED, *ATTENTION, *TRANSFORMER]
