#include "query.hpp"

#include <algorithm>
#include <cmath>

#include "bounds.hpp"
#include "rotation.hpp"
#include "rounding.hpp"

namespace reconciler {

Query::Query(const float* vector_, std::size_t dim, Metric metric_, Best best_)
    : vector(vector_),
      wide(vector_, vector_ + dim),
      metric(metric_),
      isa(kernels()),
      square(isa.dot(wide.data(), vector_, dim)),
      norm(std::sqrt(square)),
      best(std::move(best_)) {}

double Query::key(const SegmentView& segment, std::size_t row) const {
  const std::size_t dim = wide.size();
  const float* x = segment.rows + row * dim;
  if (metric == Metric::l2) return -isa.square_distance(wide.data(), x, dim);
  const double product = isa.dot(wide.data(), x, dim);
  if (metric == Metric::ip) return product;
  const double norms = norm * segment.norms[row];
  return norms == 0.0 ? 0.0 : product / norms;
}

namespace {

QueryPart encode_part(const float* y, std::size_t count, std::int8_t* code) {
  QueryPart part;
  float largest = 0.0f;
  for (std::size_t j = 0; j < count; ++j) {
    largest = std::max(largest, std::fabs(y[j]));
  }
  if (largest < 0x1p-60f) {
    // All of it is error; in the tests' terms e = p and a = 0.
    std::fill(code, code + count, std::int8_t{0});
    part.error = part.size = 0x1p-40;
    return part;
  }
  part.step = static_cast<double>(static_cast<float>(largest / 127.0f));
  constexpr double whole = 0x1.8p52;  // adding it rounds to an integer
  double error = 0.0, codes = 0.0, size = 0.0, sum = 0.0;
  for (std::size_t j = 0; j < count; ++j) {
    const double value = y[j];
    double a = (value / part.step + whole) - whole;
    a = std::min(std::max(a, -127.0), 127.0);
    code[j] = static_cast<std::int8_t>(a);
    const double rest = value - part.step * a;
    error += rest * rest;
    codes += a * a;
    size += value * value;
    sum += a;
  }
  constexpr double inflate = 1.0 + 0x1p-20;
  part.error = std::sqrt(error) * inflate + 0x1p-40;
  part.norm = part.step * std::sqrt(codes) * inflate;
  part.size = std::sqrt(size) * inflate;
  part.sum = static_cast<std::int32_t>(sum);
  return part;
}

}  // namespace

std::vector<QueryCode> encode_queries(const Basis& basis,
                                      const std::vector<Query*>& queries) {
  std::vector<QueryCode> found(queries.size());
  if (queries.empty() || queries[0]->wide.size() < kMinCodedDim) return found;
  const std::size_t dim = queries[0]->wide.size(), coded = coded_dim(dim);
  std::vector<float> vectors, rotated(queries.size() * coded);
  std::vector<double> norms;
  for (const Query* query : queries) {
    vectors.insert(vectors.end(), query->vector, query->vector + dim);
    norms.push_back(query->norm);
  }
  rotate(basis, dim, vectors.data(), norms.data(), queries.size(),
         rotated.data());
  for (std::size_t q = 0; q < queries.size(); ++q) {
    if (norms[q] == 0.0) continue;
    QueryCode& code = found[q];
    code.code.resize(coded);
    const float* y = rotated.data() + q * coded;
    code.head = encode_part(y, basis.head, code.code.data());
    code.rest = encode_part(y + basis.head, coded - basis.head,
                            code.code.data() + basis.head);
  }
  return found;
}

SegmentQuery::SegmentQuery(const Query& query, const QueryCode& code,
                           const Codes& codes)
    : usable(codes.head != nullptr && !code.code.empty()),
      unit(1.0),
      one_norm(codes.side.norm == nullptr),
      squared(query.metric == Metric::l2) {
  if (!usable) return;
  double weight = 1.0;
  double square = 0.0;
  if (query.metric == Metric::ip) unit = query.norm * codes.unit;
  if (query.metric == Metric::l2) {
    const double larger = std::max(query.norm, codes.unit);
    weight = query.norm / larger;
    unit = larger * codes.unit;
    square = codes.unit / larger * (1.0 - 0x1p-20);
  }
  constexpr double inflate = 1.0 + 0x1p-20;
  const double norm = std::hypot(code.head.norm, code.rest.norm);
  usable = weight >= 0x1p-30 && norm <= 1.3;
  const double slack = codes.basis.error +
                       2.1 * rotation_error(codes.basis, query.wide.size());
  const double far = std::hypot(code.head.error, code.rest.error);
  const double most = (far * (1.0 + 0x1p-8) + 0x1p-17 + slack) * weight;
  half_weight = round_down(square);
  error = round_up(most);
  head_norm = round_up(code.head.norm * weight);
  rest_norm = round_up(code.rest.norm * weight);
  code_norm = round_up(norm * inflate * weight);
  rest_step = static_cast<float>(code.rest.step * weight);
  head_sum = code.head.sum;
  rest_sum = code.rest.sum;
  // Where the step is smaller all codes of the head are zero.
  twice_step = static_cast<float>(
      std::max(2.0 * code.head.step * weight, 0x1p-90));
  const double step = static_cast<double>(twice_step);
  const double head = code.head.norm * weight / step;
  sieve.half = 7.5f * static_cast<float>(head_sum);
  sieve.norm = round_up(head * inflate);
  sieve.norm_square = round_up(head * head * (1.0 + 0x1p-18));
  sieve.rest = round_up(code.rest.size * weight / step);
  sieve.error = round_up(most / step);
  sieve.half_weight = round_down(square / step);
}

OctetQuery SegmentQuery::octet_query(const std::int8_t* code,
                                     float threshold) const {
  return {code,        -128 * head_sum,   sieve.norm,
          sieve.rest,  sieve.error,       sieve.half_weight,
          sieve_threshold(threshold)};
}

float SegmentQuery::sieve_threshold(float threshold) const {
  if (std::isinf(threshold)) return threshold;
  const double least = static_cast<double>(threshold) -
                       (one_norm ? static_cast<double>(error) : 0.0);
  return round_down(least / static_cast<double>(twice_step));
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

namespace {

// Dots of all rows with some row-major dimensions.
std::vector<std::int32_t> all_dots(const Query& query, std::size_t count,
                                   const std::uint8_t* codes,
                                   std::size_t stride,
                                   const std::int8_t* code,
                                   std::size_t dims) {
  std::vector<std::uint32_t> rows(count);
  std::vector<std::int32_t> dots(count);
  for (std::size_t row = 0; row < count; ++row) {
    rows[row] = static_cast<std::uint32_t>(row);
  }
  if (dims > 0) {
    query.isa.row_dots(codes, stride, code, dims, rows.data(), count,
                       dots.data());
  }
  return dots;
}

}  // namespace

std::vector<std::uint8_t> bounds_hold(Query& query,
                                      const SegmentView& segment) {
  std::vector<std::uint8_t> found(segment.count, 1);
  const Codes& codes = segment.codes;
  const QueryCode coded = encode_queries(codes.basis, {&query})[0];
  const SegmentQuery bounds(query, coded, codes);
  if (!bounds.usable) return found;
  const std::size_t blocks = (segment.count + kBlockRows - 1) / kBlockRows;
  const std::size_t head = codes.basis.head, rest = coded.code.size() - head;
  const std::size_t stride = (head + rest) / 2;
  const std::int8_t* code = coded.code.data();
  std::vector<std::uint32_t> rows((blocks + 1) * kBlockRows);
  std::vector<float> estimates(rows.size()), upper(rows.size());
  Sieve all{code, &bounds.sieve, -std::numeric_limits<float>::infinity(),
            rows.data(), estimates.data(), upper.data(), 0};
  query.isa.sieve(codes.head, head / kGroupDims, blocks, codes.side, &all, 1);
  const auto more = all_dots(query, segment.count, codes.rest, rest / 2,
                             code + head, rest);
  const auto low = all_dots(query, segment.count, codes.low, stride, code,
                            head);
  const auto low_rest = all_dots(query, segment.count, codes.low + head / 2,
                                 stride, code + head, rest);
  for (std::size_t row = 0; row < segment.count; ++row) {
    const float least = bounds.threshold(query, query.key(segment, row));
    float estimate = bounds.from_sieve(estimates[row]);
    bool holds = upper[row] >= bounds.sieve_threshold(least) &&
                 bounds.bound_from_sieve(upper[row]) >= least;
    if (rest > 0) {
      estimate += bounds.rest_estimate(codes.side, row, more[row]);
      holds = holds && bounds.first_bound(codes.side, row, estimate) >= least;
    }
    estimate +=
        bounds.low_estimate(codes.side, row, low[row], low_rest[row]);
    holds = holds && bounds.last_bound(codes.side, row, estimate) >= least;
    found[row] = holds ? 1 : 0;
  }
  if (query.isa.sieve_octets == nullptr) return found;
  const OctetQuery octets = bounds.octet_query(
      code, -std::numeric_limits<float>::infinity());
  std::vector<Passed> passed(blocks * kBlockRows);
  passed.resize(query.isa.sieve_octets(codes.octets, head / kOctetDims, blocks,
                                       codes.side, &octets, 1,
                                       passed.data()));
  std::vector<std::uint8_t> holding(segment.count, 0);
  for (const Passed& at : passed) {
    if (at.row >= segment.count) continue;
    const float least = bounds.threshold(query, query.key(segment, at.row));
    float estimate = bounds.from_sieve(at.estimate);
    if (rest > 0) {
      estimate += bounds.rest_estimate(codes.side, at.row, more[at.row]);
    }
    holding[at.row] =
        at.upper >= bounds.sieve_threshold(least) &&
        bounds.bound_from_sieve(at.upper) >= least &&
        bounds.octet_bound(codes.side, at.row, estimate) >= least;
  }
  for (std::size_t row = 0; row < segment.count; ++row) {
    found[row] = found[row] & holding[row];
  }
  return found;
}

}  // namespace reconciler
