# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False
"""Bindings of the C++ kernels in native/src."""

cdef extern from "dot.hpp" namespace "reconciler" nogil:
    double _dot "reconciler::dot"(const float*, const float*, size_t) noexcept


def dot(const float[::1] a, const float[::1] b):
    """Inner product of two float32 vectors of equal length.

    The GIL is released while the sum runs.

    Raises:
        ValueError: the lengths differ.
    """
    cdef Py_ssize_t n = a.shape[0]
    if b.shape[0] != n:
        raise ValueError(f"lengths differ: {n} and {b.shape[0]}")
    if n == 0:
        return 0.0
    cdef double result
    with nogil:
        result = _dot(&a[0], &b[0], <size_t>n)
    return result
