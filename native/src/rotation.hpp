// Orthogonal transforms under which few bits say much about a vector.
//
// Without a basis: rounds of (flip signs; Hadamard transform of a power-of-two
// window divided by the square root of its size), which spread a vector's
// energy over its dimensions. Windows alternate between the first and the
// last m dimensions, m the largest power of two in coded_dim(dim); they
// overlap, so every input reaches every output. Without rounding the
// transform is exactly orthogonal, whatever the signs.
//
// With a basis: its matrix B as it is stored, in float32. It is made to gather
// energy in the head, and is nearly orthogonal; how nearly was measured.
//
// Correctness does not depend on how well either does its work.
//
// Rounding. Both give a float32 vector y near the exact transform of x / norm
// (|x| = norm up to 2^-45), off by at most rotation_error(), with v = 2^-24:
//   transform  in double, 4 rounds of at most 12 + 2 stages and 1 division,
//              each at most 2^-53 |y|: 2^-47; then to float32: v
//   basis      x / norm to float32: v, and |B| <= 1.01; the products of
//              project.hpp are n = 66 + dim / 64 operations deep, so y[j] is
//              off by at most 1.01 n v times the norm of row j of B, and y by
//              1.01 n v times the Frobenius norm, at most 1.01 sqrt(dim)
#pragma once

#include <cstddef>
#include <cstdint>

#include "layout.hpp"

namespace reconciler {

constexpr int kRounds = 4;

// The signs (1 or -1) of all dimensions in a round; from a hash, so that there
// is nothing to store with an index.
const double* rotation_signs(int round);

// y[i] = the transform of x[i] / norms[i], coded_dim(dim) wide; zero norms
// count as 1.
void rotate(const Basis& basis, std::size_t dim, const float* x,
            const double* norms, std::size_t count, float* y);

// How far y is from the exact transform, in units of |x| / norm.
double rotation_error(const Basis& basis, std::size_t dim);

}  // namespace reconciler
