// Segments and queries to bound.
#pragma once

#include <cmath>
#include <initializer_list>
#include <vector>

#include "inputs.hpp"
#include "kernels.hpp"

namespace reconciler {

struct Size {
  std::size_t dims, blocks, count;  // count: queries
};

inline std::vector<Size> some_sizes(
    std::initializer_list<std::size_t> counts) {
  std::vector<Size> found;
  for (std::size_t dims : {32, 64, 96, 384, 4096}) {
    for (std::size_t blocks : {1, 2, 9}) {
      if (dims * blocks > 8192) continue;  // takes long, and shows no more
      for (std::size_t count : counts) found.push_back({dims, blocks, count});
    }
  }
  return found;
}

// The constants of some rows, of any kind of segment.
struct Constants {
  std::vector<std::vector<float>> arrays;
  Side side{};

  Constants(std::size_t rows, inputs::Source& source)
      : arrays(kSideArrays) {
    const bool parted = source.below(2) == 0;
    const auto metric = static_cast<Metric>(source.below(3));
    for (auto& array : arrays) array = source.between(rows, 0.0f, 1.0f);
    for (float& x : arrays[0]) x *= 1e-4f;
    for (float& x : arrays[1]) x *= 1e-5f;
    side.scale = arrays[0].data();
    side.inverse_norm = arrays[1].data();
    side.residual = arrays[2].data();
    if (parted) side.rest = arrays[3].data();
    if (metric != Metric::cosine) side.norm = arrays[4].data();
    if (metric == Metric::l2) side.half_square = arrays[5].data();
    side.octet_scale = arrays[0].data();
    side.octet_residual = arrays[2].data();
  }
};

inline std::int32_t sum_of(const std::int8_t* code, std::size_t dims) {
  std::int32_t sum = 0;
  for (std::size_t j = 0; j < dims; ++j) sum += code[j];
  return sum;
}

// What rounding may change of a bound: all its terms are below 10, but for the
// estimate.
inline float tolerance(float estimate) {
  return (std::fabs(estimate) + 50.0f) * 0x1p-20f;
}

}  // namespace reconciler
