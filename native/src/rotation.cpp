#include "rotation.hpp"

#include <vector>

#include "layout.hpp"

namespace reconciler {

const double* rotation_signs(int round) {
  static const std::vector<double> signs = [] {
    std::vector<double> table;
    for (int r = 0; r < kRounds; ++r) {
      for (std::size_t j = 0; j < kMaxDim; ++j) {
        std::uint64_t x = (static_cast<std::uint64_t>(r) << 32) + j + 1;
        x *= 0x9E3779B97F4A7C15u;
        x ^= x >> 32;
        x *= 0xD6E8FEB86659FD93u;
        table.push_back((x >> 63) != 0 ? -1.0 : 1.0);
      }
    }
    return table;
  }();
  return signs.data() + static_cast<std::size_t>(round) * kMaxDim;
}

}  // namespace reconciler
