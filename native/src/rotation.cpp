#include "rotation.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels.hpp"

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

void rotate(const Basis& basis, std::size_t dim, const float* x,
            const double* norms, std::size_t count, float* y) {
  const Kernels& isa = kernels();
  const std::size_t coded = coded_dim(dim);
  const auto norm = [&](std::size_t i) {
    return norms[i] > 0.0 ? norms[i] : 1.0;
  };
  if (basis.matrix == nullptr) {
    double rotated[kMaxDim];
    for (std::size_t i = 0; i < count; ++i) {
      isa.rotate(x + i * dim, dim, norm(i), rotated);
      std::transform(rotated, rotated + coded, y + i * coded,
                     [](double value) { return static_cast<float>(value); });
    }
    return;
  }
  std::vector<float> units(count * dim);
  for (std::size_t i = 0; i < count; ++i) {
    const double inverse = norm(i);
    for (std::size_t j = i * dim; j < (i + 1) * dim; ++j) {
      units[j] = static_cast<float>(static_cast<double>(x[j]) / inverse);
    }
  }
  isa.project(basis.matrix, coded, dim, units.data(), count, y);
}

double rotation_error(const Basis& basis, std::size_t dim) {
  if (basis.matrix == nullptr) return 0x1p-23;
  const double deep = 66.0 + static_cast<double>(dim) / 64.0;
  return 0x1p-23 + 1.03 * deep * 0x1p-24 * std::sqrt(static_cast<double>(dim));
}

}  // namespace reconciler
