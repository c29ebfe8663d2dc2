#include "codes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels.hpp"
#include "rounding.hpp"

namespace reconciler {

namespace {

constexpr std::size_t kTaskRows = 1024;
constexpr double kInflate = 1.0 + 0x1p-20;
constexpr double kTiny = 0x1p-60;

// The constants of one row whose norm is `size` units; see bounds.hpp.
void set_side(const CodeArrays& out, std::size_t row, double size,
              const Encoded& code) {
  const bool tiny = size < kTiny;
  const double bound = std::max(size * kInflate, kTiny);
  const auto at_least = [&](double relative) {
    return round_up(std::max(size * relative * kInflate, kTiny));
  };
  out.scale[row] = tiny ? 0.0f : static_cast<float>(code.scale * size);
  out.inverse_norm[row] = tiny ? 0.0f : code.inverse_norm;
  out.residual[row] = tiny ? round_up(bound) : at_least(code.residual);
  out.low_scale[row] = tiny ? 0.0f : static_cast<float>(code.low_scale * size);
  out.low_residual[row] = tiny ? round_up(bound) : at_least(code.low_residual);
  if (out.norm != nullptr) out.norm[row] = round_up(bound);
  if (out.half_square != nullptr) {
    out.half_square[row] =
        round_down(0.5 * size * size * (1.0 - 0x1p-20));
  }
}

}  // namespace

void row_norms(const float* rows, std::size_t count, std::size_t dim,
               double* norms) {
  const Kernels& isa = kernels();
  for (std::size_t i = 0; i < count; ++i) {
    const float* row = rows + i * dim;
    norms[i] = std::sqrt(isa.dot(row, row, dim));
  }
}

double encode_rows(const float* rows, const double* norms, std::size_t count,
                   std::size_t dim, Metric metric, const CodeArrays& out,
                   Pool& pool) {
  const Kernels& isa = kernels();
  const std::size_t coded = coded_dim(dim);
  const std::size_t block_bytes = coded / kGroupDims * kGroupBytes;
  double unit = 0.0;
  if (metric != Metric::cosine && count > 0) {
    unit = *std::max_element(norms, norms + count);
  }
  if (unit == 0.0) unit = 1.0;
  pool.run((count + kTaskRows - 1) / kTaskRows, [&](std::size_t task) {
    double rotated[kMaxDim];
    const std::size_t end = std::min(count, (task + 1) * kTaskRows);
    for (std::size_t row = task * kTaskRows; row < end; ++row) {
      const double norm = norms[row] > 0.0 ? norms[row] : 1.0;
      isa.rotate(rows + row * dim, dim, norm, rotated);
      Encoded code{};
      code.high_block = out.high + row / kBlockRows * block_bytes;
      code.lane = row % kBlockRows;
      code.low = out.low + row * (coded / 2);
      isa.encode(rotated, coded, code);
      const double size =
          metric == Metric::cosine ? 1.0 : norms[row] / unit;
      set_side(out, row, size, code);
    }
  });
  return unit;
}

}  // namespace reconciler
