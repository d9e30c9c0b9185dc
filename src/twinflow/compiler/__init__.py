"""The CPU compiler: kernel descriptions in, LLVM functions out. It knows no graphs and no tensors."""
