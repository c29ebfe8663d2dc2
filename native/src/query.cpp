#include "query.hpp"

#include <algorithm>
#include <cmath>

#include "bounds.hpp"
#include "rounding.hpp"

namespace reconciler {

Query::Query(const float* vector_, std::size_t dim_, Metric metric_,
             Best best_)
    : vector(vector_),
      dim(dim_),
      metric(metric_),
      isa(kernels()),
      square(isa.dot(vector_, vector_, dim_)),
      norm(std::sqrt(square)),
      best(std::move(best_)) {
  if (dim < kMinCodedDim || norm == 0.0) return;
  const std::size_t coded = coded_dim(dim);
  double rotated[kMaxDim];
  isa.rotate(vector, dim, norm, rotated);
  double largest = 0.0;
  for (std::size_t j = 0; j < coded; ++j) {
    largest = std::max(largest, std::fabs(rotated[j]));
  }
  step = static_cast<double>(static_cast<float>(largest / 127.0));
  code.resize(coded);
  double error_square = 0.0, code_square = 0.0;
  for (std::size_t j = 0; j < coded; ++j) {
    const double a =
        std::clamp(std::nearbyint(rotated[j] / step), -127.0, 127.0);
    const double rest = rotated[j] - step * a;
    code[j] = static_cast<std::int8_t>(a);
    sum += code[j];
    error_square += rest * rest;
    code_square += a * a;
  }
  error = std::sqrt(error_square) * (1.0 + 0x1p-20) + 0x1p-40;
  code_norm = step * std::sqrt(code_square) * (1.0 + 0x1p-20);
}

double Query::key(const SegmentView& segment, std::size_t row) const {
  const float* x = segment.rows + row * dim;
  if (metric == Metric::l2) return -isa.square_distance(vector, x, dim);
  const double product = isa.dot(vector, x, dim);
  if (metric == Metric::ip) return product;
  const double norms = norm * segment.norms[row];
  return norms == 0.0 ? 0.0 : product / norms;
}

SegmentQuery::SegmentQuery(const Query& query, const Codes& codes)
    : usable(codes.high != nullptr && !query.code.empty()), unit(1.0) {
  if (!usable) return;
  double weight = 1.0;
  if (query.metric == Metric::ip) unit = query.norm * codes.unit;
  if (query.metric == Metric::l2) {
    const double larger = std::max(query.norm, codes.unit);
    weight = query.norm / larger;
    unit = larger * codes.unit;
    bound.half_weight =
        round_down(codes.unit / larger * (1.0 - 0x1p-20));
  }
  usable = weight >= 0x1p-30 && query.code_norm <= 1.3;
  const double norm = query.code_norm * weight;
  bound.step = static_cast<float>(query.step * weight);
  bound.norm = round_up(norm);
  bound.norm_square = round_up(norm * norm * (1.0 + 0x1p-18));
  bound.error = round_up((query.error + 0x1p-17) * weight);
  bound.sum = query.sum;
}

float SegmentQuery::threshold(const Query& query, double key) const {
  constexpr double slack = 0x1p-43;
  if (std::isinf(key)) return -std::numeric_limits<float>::infinity();
  if (query.metric == Metric::cosine) return round_down(key - slack);
  if (query.metric == Metric::ip) {
    const double least = key / unit;
    return round_down(least - std::fabs(least) * slack);
  }
  const double distance = -key;
  const double least = 0.5 * (query.square - distance) -
                       slack * (query.square + distance);
  return round_down(least / unit);
}

float SegmentQuery::refined_bound(const Side& side, std::size_t row,
                                  std::int32_t high, std::int32_t low) const {
  const std::int32_t shift = 15 * bound.sum;
  const float first = bound.step * static_cast<float>(2 * high - shift);
  const float second = bound.step * static_cast<float>(2 * low - shift);
  float upper = side.scale[row] * first + side.low_scale[row] * second;
  upper += bound.norm * side.low_residual[row];
  upper += side.norm != nullptr ? bound.error * side.norm[row] : bound.error;
  if (side.half_square != nullptr) {
    upper -= bound.half_weight * side.half_square[row];
  }
  return upper;
}

std::vector<std::uint8_t> bounds_hold(const Query& query,
                                      const SegmentView& segment) {
  std::vector<std::uint8_t> found(segment.count, 1);
  const SegmentQuery bounds(query, segment.codes);
  if (!bounds.usable) return found;
  const std::size_t blocks = (segment.count + kBlockRows - 1) / kBlockRows;
  std::vector<std::int32_t> dots(blocks * kBlockRows);
  std::vector<float> upper(segment.count);
  const std::int8_t* code = query.code.data();
  query.isa.scan(segment.codes.high, query.code.size() / kGroupDims, blocks,
                 &code, 1, dots.data(), dots.size());
  query.isa.bound(bounds.bound, segment.codes.side, dots.data(), segment.count,
                  upper.data());
  std::vector<std::uint32_t> rows(segment.count);
  std::vector<std::int32_t> low(segment.count);
  for (std::size_t row = 0; row < segment.count; ++row) {
    rows[row] = static_cast<std::uint32_t>(row);
  }
  query.isa.low_dots(segment.codes.low, code, query.code.size(), rows.data(),
                     rows.size(), low.data());
  for (std::size_t row = 0; row < segment.count; ++row) {
    const float least = bounds.threshold(query, query.key(segment, row));
    const float refined =
        bounds.refined_bound(segment.codes.side, row, dots[row], low[row]);
    found[row] = upper[row] >= least && refined >= least ? 1 : 0;
  }
  return found;
}

}  // namespace reconciler
