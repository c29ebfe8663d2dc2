// An orthogonal transform that spreads a vector's energy over its dimensions.
//
// Rounds of (flip signs; Hadamard transform of a power-of-two window divided
// by the square root of its size). Windows alternate between the first and
// the last m dimensions, m the largest power of two in coded_dim(dim); they
// overlap, so every input reaches every output. Without rounding the
// transform is exactly orthogonal, whatever the signs: correctness does not
// depend on how well it mixes.
//
// Rounding, u = 2^-53: each butterfly stage rounds each output once, an error
// of at most u times the norm of the stage; so do the division by norm, and
// the scaling (twice, for the constant). 4 rounds of at most 12 + 2 stages
// and 1 division: the computed y differs from the exact rotation of x / norm
// by at most 60 u |x| / norm <= 2^-47 |x| / norm.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reconciler {

constexpr int kRounds = 4;

// The signs (1 or -1) of all dimensions in a round; from a hash, so that there
// is nothing to store with an index.
const double* rotation_signs(int round);

}  // namespace reconciler
