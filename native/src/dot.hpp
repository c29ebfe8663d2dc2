// Inner products of float32 vectors, summed in double precision.
#pragma once

#include <cstddef>

namespace reconciler {

// Sum of a[i] * b[i] for i < n. Each product of two floats is exact in a
// double, so the only rounding is that of the sum.
double dot(const float* a, const float* b, std::size_t n) noexcept;

}  // namespace reconciler
