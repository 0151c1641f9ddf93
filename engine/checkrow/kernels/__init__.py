"""Kernels: the user's functions, captured as source so that they can be compiled anywhere."""
