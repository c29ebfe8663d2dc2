#include "codes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels.hpp"
#include "rotation.hpp"
#include "rounding.hpp"

namespace reconciler {

namespace {

constexpr std::size_t kTaskRows = 512;
constexpr double kInflate = 1.0 + 0x1p-20;
constexpr double kTiny = 0x1p-60;

// The constants of one row whose norm is `size` units; see bounds.hpp.
void set_side(const CodeArrays& out, std::size_t row, double size,
              const Encoded& code) {
  const bool tiny = size < kTiny;
  const double bound = std::max(size * kInflate, kTiny);
  const auto at_least = [&](double relative) {
    if (tiny) return round_up(bound);
    return round_up(std::max(size * relative * kInflate, kTiny));
  };
  const auto scaled = [&](float scale) {
    return tiny ? 0.0f : static_cast<float>(scale * size);
  };
  out.scale[row] = scaled(code.scale);
  out.inverse_norm[row] = tiny ? 0.0f : code.inverse_norm;
  out.residual[row] = at_least(code.residual);
  if (out.rest_size != nullptr) {
    out.rest_size[row] = at_least(code.rest_size);
    out.rest_scale[row] = scaled(code.rest_scale);
    out.rest_residual[row] = at_least(code.rest_residual);
    out.low_rest_scale[row] = scaled(code.low_rest_scale);
  }
  out.low_scale[row] = scaled(code.low_scale);
  out.low_residual[row] = at_least(code.low_residual);
  out.octet_scale[row] = 0.5f * scaled(code.octet_scale);
  out.octet_residual[row] = at_least(code.octet_residual);
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
  double wide[kMaxDim];
  for (std::size_t i = 0; i < count; ++i) {
    const float* row = rows + i * dim;
    std::copy(row, row + dim, wide);
    norms[i] = std::sqrt(isa.dot(wide, row, dim));
  }
}

double encode_rows(const float* rows, const double* norms, std::size_t count,
                   std::size_t dim, Metric metric, const Basis& basis,
                   const CodeArrays& out, Pool& pool) {
  const Kernels& isa = kernels();
  const std::size_t coded = coded_dim(dim);
  const std::size_t rest = coded - basis.head;
  const std::size_t block_bytes = basis.head / kGroupDims * kGroupBytes;
  double unit = 0.0;
  if (metric != Metric::cosine && count > 0) {
    unit = *std::max_element(norms, norms + count);
  }
  if (unit == 0.0) unit = 1.0;
  pool.run((count + kTaskRows - 1) / kTaskRows, [&](std::size_t task) {
    const std::size_t begin = task * kTaskRows;
    const std::size_t end = std::min(count, begin + kTaskRows);
    std::vector<float> rotated((end - begin) * coded);
    rotate(basis, dim, rows + begin * dim, norms + begin, end - begin,
           rotated.data());
    for (std::size_t row = begin; row < end; ++row) {
      Encoded code{};
      code.head_block = out.head + row / kBlockRows * block_bytes;
      code.lane = row % kBlockRows;
      code.rest = out.rest + row * (rest / 2);
      code.low = out.low + row * (coded / 2);
      code.octet_block = out.octets + row / kBlockRows * 2 * block_bytes;
      isa.encode(rotated.data() + (row - begin) * coded, coded, basis.head,
                 code);
      const double size =
          metric == Metric::cosine ? 1.0 : norms[row] / unit;
      set_side(out, row, size, code);
    }
  });
  return unit;
}

}  // namespace reconciler
