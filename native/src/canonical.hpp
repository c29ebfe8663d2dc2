// The canonical score: one definition, the same bits everywhere.
//
// 32 partial sums in double: sum l adds the terms of dimensions l, l + 32,
// l + 64, ... in this order, missing dimensions count as zeros. The sums are
// then added in halves: l and l + 16, l and l + 8, ... l and l + 1.
//
// A product of two floats has at most 48 significant bits and an exponent
// far inside double's range, so it is exact; whether the processor fuses it
// with the addition makes no difference. Terms of the squared distance are
// (double(a) - double(b)) rounded, squared and rounded, then added, never
// fused (-ffp-contract=off). Both are hence functions of the operands alone:
// instruction set, batch, threads and position of the row cannot change them.
//
// With u = 2^-53, n = ceil(dim / 32) + 5 additions deep, the result is within
// n u / (1 - n u) * sum |terms| of the real number, i.e. (dim <= 4096) within
// 2^-45 |a| |b| for the dot product and a factor 1 +- 2^-44 for the distance.
#pragma once

#include <cstddef>

namespace reconciler {

constexpr std::size_t kLanes = 32;

// Adds the lanes; destroys them. Adding +0.0 turns -0.0 into +0.0.
inline double sum_lanes(double* lanes) {
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0] + 0.0;
}

}  // namespace reconciler
