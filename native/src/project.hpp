// Vectors times a matrix in float32, for the including file's instruction set.
//
// y[i][j] = sum over k of x[i][k] * matrix[k][j]. Sums run over panels of 64
// dimensions, then over the panels: at most 64 + dim / 64 additions deep, plus
// one rounding of each product where they are not fused.
#pragma once

#include <cstring>

#include "kernels.hpp"

namespace reconciler {
namespace {

constexpr std::size_t kPanel = 64;

// Adds one panel of kRows vectors for kColumns times 16 results each.
template <typename Unit, std::size_t kRows, std::size_t kColumns>
void project_panel(const float* matrix, std::size_t coded, const float* x,
                   std::size_t stride, std::size_t depth, float* y) {
  using Floats = typename Unit::Floats;
  constexpr std::size_t width = Unit::kWidth;
  Floats sums[kRows][kColumns];
  for (auto& row : sums) {
    for (auto& sum : row) sum = Unit::zero();
  }
  for (std::size_t k = 0; k < depth; ++k) {
    Floats values[kColumns];
    for (std::size_t c = 0; c < kColumns; ++c) {
      values[c] = Unit::load(matrix + k * coded + c * width);
    }
    for (std::size_t i = 0; i < kRows; ++i) {
      const Floats factor = Unit::broadcast(x[i * stride + k]);
      for (std::size_t c = 0; c < kColumns; ++c) {
        sums[i][c] = Unit::multiply_add(factor, values[c], sums[i][c]);
      }
    }
  }
  for (std::size_t i = 0; i < kRows; ++i) {
    for (std::size_t c = 0; c < kColumns; ++c) {
      float* out = y + i * coded + c * width;
      Unit::store(out, Unit::add(Unit::load(out), sums[i][c]));
    }
  }
}

// Needs coded to be a multiple of 32.
template <typename Unit, std::size_t kRows, std::size_t kWide>
void project_rows(const float* matrix, std::size_t coded, std::size_t dim,
                  const float* x, float* y) {
  constexpr std::size_t narrow = 32 / Unit::kWidth;
  constexpr std::size_t step = kWide * narrow;
  std::memset(y, 0, kRows * coded * sizeof(float));
  for (std::size_t k = 0; k < dim; k += kPanel) {
    const std::size_t depth = dim - k < kPanel ? dim - k : kPanel;
    const float* panel = matrix + k * coded;
    std::size_t j = 0;
    for (; j + kWide * 32 <= coded; j += kWide * 32) {
      project_panel<Unit, kRows, step>(panel + j, coded, x + k, dim, depth,
                                       y + j);
    }
    for (; j < coded; j += 32) {
      project_panel<Unit, kRows, narrow>(panel + j, coded, x + k, dim, depth,
                                         y + j);
    }
  }
}

// A unit: sixteen bytes at a time, which every compiler knows how to handle.
struct PortableUnit {
  using Floats = float __attribute__((vector_size(16)));
  static constexpr std::size_t kWidth = 4;
  static Floats zero() { return Floats{}; }
  static Floats load(const float* p) {
    Floats x;
    std::memcpy(&x, p, sizeof x);
    return x;
  }
  static void store(float* p, Floats x) { std::memcpy(p, &x, sizeof x); }
  static Floats broadcast(float x) { return Floats{} + x; }
  static Floats add(Floats a, Floats b) { return a + b; }
  static Floats multiply_add(Floats a, Floats b, Floats c) {
    return a * b + c;
  }
};

// kRows vectors share what is read of the matrix; a single one reads longer
// runs of it.
template <typename Unit, std::size_t kRows, std::size_t kWide>
void project(const float* matrix, std::size_t coded, std::size_t dim,
             const float* x, std::size_t count, float* y) {
  std::size_t i = 0;
  for (; i + kRows <= count; i += kRows) {
    project_rows<Unit, kRows, 1>(matrix, coded, dim, x + i * dim,
                                 y + i * coded);
  }
  for (; i < count; ++i) {
    project_rows<Unit, 1, kWide>(matrix, coded, dim, x + i * dim,
                                 y + i * coded);
  }
}

}  // namespace
}  // namespace reconciler
