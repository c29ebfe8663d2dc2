// Kernels in plain C++, compiled once per instruction set by the including
// file. Everything has internal linkage: a shared inline function could be
// merged with a copy that this processor cannot run.
#pragma once

#include <cmath>
#include <cstring>

#include "canonical.hpp"
#include "kernels.hpp"
#include "rotation.hpp"

namespace reconciler {
namespace {

using Floats = float __attribute__((vector_size(64)));
using Ints = std::int32_t __attribute__((vector_size(64)));
constexpr std::size_t kVector = 16;

[[maybe_unused]] double generic_dot(const double* a, const float* b,
                                    std::size_t dim) {
  double lanes[kLanes] = {};
  std::size_t j = 0;
  for (; j + kLanes <= dim; j += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) {
      lanes[l] += a[j + l] * static_cast<double>(b[j + l]);
    }
  }
  for (std::size_t l = 0; j + l < dim; ++l) {
    lanes[l] += a[j + l] * static_cast<double>(b[j + l]);
  }
  return sum_lanes(lanes);
}

[[maybe_unused]] double generic_square_distance(const double* a,
                                                const float* b,
                                                std::size_t dim) {
  double lanes[kLanes] = {};
  std::size_t j = 0;
  for (; j + kLanes <= dim; j += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) {
      const double t = a[j + l] - static_cast<double>(b[j + l]);
      lanes[l] += t * t;
    }
  }
  for (std::size_t l = 0; j + l < dim; ++l) {
    const double t = a[j + l] - static_cast<double>(b[j + l]);
    lanes[l] += t * t;
  }
  return sum_lanes(lanes);
}

[[maybe_unused]] void generic_scan(const std::uint8_t* head,
                                   std::size_t groups, std::size_t blocks,
                                   const std::int8_t* const* queries,
                                   std::size_t count, std::int32_t* dots,
                                   std::size_t stride) {
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::uint8_t* block = head + b * groups * kGroupBytes;
    for (std::size_t q = 0; q < count; ++q) {
      std::int32_t sums[kBlockRows] = {};
      for (std::size_t g = 0; g < groups; ++g) {
        const std::int8_t* a = queries[q] + g * kGroupDims;
        const std::uint8_t* code = block + g * kGroupBytes;
        for (std::size_t row = 0; row < kBlockRows; ++row) {
          for (std::size_t j = 0; j < 4; ++j) {
            const int byte = code[row * 4 + j];
            sums[row] += (byte & 15) * a[j] + (byte >> 4) * a[4 + j];
          }
        }
      }
      std::memcpy(dots + q * stride + b * kBlockRows, sums, sizeof sums);
    }
  }
}

[[maybe_unused]] std::int32_t generic_row_dot(const std::uint8_t* codes,
                                              const std::int8_t* query,
                                              std::size_t dims) {
  const std::size_t half = dims / 2;
  std::int32_t sum = 0;
  for (std::size_t j = 0; j < half; ++j) {
    sum += (codes[j] & 15) * query[j] + (codes[j] >> 4) * query[half + j];
  }
  return sum;
}

template <std::int32_t (*kDot)(const std::uint8_t*, const std::int8_t*,
                               std::size_t)>
void each_row_dot(const std::uint8_t* codes, std::size_t stride,
                  const std::int8_t* query, std::size_t dims,
                  const std::uint32_t* rows, std::size_t count,
                  std::int32_t* dots) {
  constexpr std::size_t ahead = 12;
  for (std::size_t i = 0; i < count; ++i) {
    if (i + ahead < count) {
      const char* next =
          reinterpret_cast<const char*>(codes + rows[i + ahead] * stride);
      for (std::size_t at = 0; at < dims / 2; at += 64) {
        __builtin_prefetch(next + at);
      }
    }
    dots[i] = kDot(codes + rows[i] * stride, query, dims);
  }
}

constexpr std::size_t kStripBlocks = 4;
constexpr std::size_t kStripRows = kStripBlocks * kBlockRows;

template <bool kRest, bool kNorm, bool kSquare>
void bound_rows(const SieveBound& query, const Side& side,
                const std::int32_t* __restrict dots, std::size_t count,
                float* __restrict estimates, float* __restrict upper) {
  const float half = query.half, n2 = query.norm_square, n = query.norm;
  const float rest = query.rest, error = query.error;
  const float weight = query.half_weight;
  const float* __restrict scale = side.scale;
  const float* __restrict inverse = side.inverse_norm;
  const float* __restrict residual = side.residual;
  const float* __restrict size = side.rest;
  const float* __restrict norm = side.norm;
  const float* __restrict square = side.half_square;
  for (std::size_t i = 0; i < count; ++i) {
    const float dot = static_cast<float>(dots[i]) - half;
    const float estimate = scale[i] * dot;
    float bound = estimate;
    if (kRest) {
      bound += residual[i] * n + size[i] * rest;
    } else {
      const float alpha = dot * inverse[i];
      float across = n2 - alpha * alpha;
      across = across > 0.0f ? across : 0.0f;
      bound += residual[i] * std::sqrt(across);
    }
    if (kNorm) bound += error * norm[i];
    if (kSquare) bound -= weight * square[i];
    estimates[i] = estimate;
    upper[i] = bound;
  }
}

[[maybe_unused]] void bound(const SieveBound& query, const Side& side,
                            const std::int32_t* dots, std::size_t count,
                            float* estimates, float* upper) {
  const auto run = [&](auto rows) {
    rows(query, side, dots, count, estimates, upper);
  };
  if (side.rest != nullptr) {
    if (side.half_square != nullptr) return run(bound_rows<true, true, true>);
    if (side.norm != nullptr) return run(bound_rows<true, true, false>);
    return run(bound_rows<true, false, false>);
  }
  if (side.half_square != nullptr) return run(bound_rows<false, true, true>);
  if (side.norm != nullptr) return run(bound_rows<false, true, false>);
  run(bound_rows<false, false, false>);
}

// Rows whose bound reaches the threshold; at most `count` of them.
[[maybe_unused]] std::size_t generic_select(const float* upper,
                                            std::size_t count, float threshold,
                                            std::uint32_t* rows) {
  std::size_t found = 0;
  for (std::size_t i = 0; i < count; ++i) {
    rows[found] = static_cast<std::uint32_t>(i);
    found += upper[i] >= threshold ? 1 : 0;
  }
  return found;
}

// Strip by strip, so that what lies between the steps stays in the cache.
template <auto kScan, auto kSelect>
void sieve_strips(const std::uint8_t* head, std::size_t groups,
                  std::size_t blocks, const Side& side, Sieve* queries,
                  std::size_t count) {
  alignas(64) std::int32_t dots[kMostSieves * kStripRows];
  alignas(64) float estimates[kStripRows], upper[kStripRows];
  std::uint32_t rows[kStripRows];
  const std::int8_t* codes[kMostSieves];
  for (std::size_t q = 0; q < count; ++q) codes[q] = queries[q].code;
  for (std::size_t at = 0; at < blocks; at += kStripBlocks) {
    const std::size_t some =
        blocks - at < kStripBlocks ? blocks - at : kStripBlocks;
    kScan(head + at * groups * kGroupBytes, groups, some, codes, count, dots,
          kStripRows);
    const std::size_t first = at * kBlockRows;
    const Side part = side.from(first);
    for (std::size_t q = 0; q < count; ++q) {
      Sieve& query = queries[q];
      bound(*query.bound, part, dots + q * kStripRows, some * kBlockRows,
            estimates, upper);
      const std::size_t passed =
          kSelect(upper, some * kBlockRows, query.threshold, rows);
      for (std::size_t i = 0; i < passed; ++i) {
        const std::size_t to = query.found++;
        query.rows[to] = static_cast<std::uint32_t>(first) + rows[i];
        query.estimates[to] = estimates[rows[i]];
        query.upper[to] = upper[rows[i]];
      }
    }
  }
}

// The bound (1) of bounds.hpp by a row's octets, whose dot with the query is
// an integer.
Passed bound_octets(const OctetQuery& query, const Side& side,
                    std::size_t row, std::int32_t dot) {
  const float estimate = side.octet_scale[row] * static_cast<float>(dot);
  float upper = estimate + side.octet_residual[row] * query.norm;
  if (side.rest != nullptr) upper += side.rest[row] * query.rest;
  if (side.norm != nullptr) upper += side.norm[row] * query.error;
  if (side.half_square != nullptr) {
    upper -= side.half_square[row] * query.half_weight;
  }
  return {0, static_cast<std::uint32_t>(row), estimate, upper};
}

[[maybe_unused]] std::size_t generic_sieve_octets(
    const std::uint8_t* octets, std::size_t groups, std::size_t blocks,
    const Side& side, const OctetQuery* queries, std::size_t count,
    Passed* passed) {
  std::size_t found = 0;
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::uint8_t* block = octets + b * groups * kGroupBytes;
    for (std::size_t q = 0; q < count; ++q) {
      std::int32_t dots[kBlockRows];
      for (std::int32_t& dot : dots) dot = queries[q].half;
      for (std::size_t g = 0; g < groups; ++g) {
        const std::int8_t* a = queries[q].code + g * kOctetDims;
        const std::uint8_t* code = block + g * kGroupBytes;
        for (std::size_t row = 0; row < kBlockRows; ++row) {
          for (std::size_t j = 0; j < kOctetDims; ++j) {
            dots[row] += code[row * kOctetDims + j] * a[j];
          }
        }
      }
      for (std::size_t i = 0; i < kBlockRows; ++i) {
        Passed at =
            bound_octets(queries[q], side, b * kBlockRows + i, dots[i]);
        at.query = static_cast<std::uint32_t>(q);
        passed[found] = at;
        found += at.upper >= queries[q].threshold ? 1 : 0;
      }
    }
  }
  return found;
}

void hadamard(double* x, std::size_t size) {
  for (std::size_t h = 1; h < size; h *= 2) {
    for (std::size_t i = 0; i < size; i += 2 * h) {
      double* __restrict left = x + i;
      double* __restrict right = x + i + h;
      for (std::size_t j = 0; j < h; ++j) {
        const double a = left[j], b = right[j];
        left[j] = a + b;
        right[j] = a - b;
      }
    }
  }
  const double scale = 1.0 / std::sqrt(static_cast<double>(size));
  for (std::size_t j = 0; j < size; ++j) x[j] *= scale;
}

void generic_rotate(const float* x, std::size_t dim, double norm, double* y) {
  const std::size_t coded = coded_dim(dim);
  std::size_t window = 32;
  while (window * 2 <= coded) window *= 2;
  for (std::size_t j = 0; j < coded; ++j) {
    y[j] = j < dim ? static_cast<double>(x[j]) / norm : 0.0;
  }
  const int rounds = window == coded ? kRounds / 2 : kRounds;
  for (int round = 0; round < rounds; ++round) {
    const double* signs = rotation_signs(round);
    for (std::size_t j = 0; j < coded; ++j) y[j] *= signs[j];
    hadamard(round % 2 == 0 ? y : y + (coded - window), window);
  }
}

Floats load(const float* p) {
  Floats v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// The integer code u of every value for a step; 16 values at a time.
Ints nibbles(const Floats& values, float inverse_step) {
  Floats scaled = values * inverse_step + 8.0f;
  const Floats zero = {};
  const Floats most = zero + 15.5f;
  scaled = scaled < zero ? zero : scaled;
  scaled = scaled > most ? most : scaled;
  return __builtin_convertvector(scaled, Ints);
}

// The step whose code leaves the smallest residual, by trial. Only speed
// depends on this choice, so float32 is enough.
float best_inverse_step(const float* y, std::size_t n, float largest) {
  float best = 0.0f, gain = -1.0f;
  for (int trial = 0; trial < 9; ++trial) {
    const float clip = 1.0f - 0.0625f * static_cast<float>(trial);
    const float inverse = 7.5f / (clip * largest);
    Floats along = {};
    Ints squares = {};
    for (std::size_t j = 0; j < n; j += kVector) {
      const Floats values = load(y + j);
      const Ints code = 2 * nibbles(values, inverse) - 15;
      along += values * __builtin_convertvector(code, Floats);
      squares += code * code;
    }
    float xc = 0.0f, cc = 0.0f;
    for (std::size_t l = 0; l < kVector; ++l) {
      xc += along[l];
      cc += static_cast<float>(squares[l]);
    }
    if (xc * xc / cc > gain) {
      gain = xc * xc / cc;
      best = inverse;
    }
  }
  return best;
}

// Codes y, sets the scale, and leaves the residual in y. Returns sum(c^2).
double quantise(double* y, std::size_t n, std::uint8_t* u, float& scale) {
  alignas(64) float values[kMaxDim];
  float largest = 0.0f;
  for (std::size_t j = 0; j < n; ++j) {
    values[j] = static_cast<float>(y[j]);
    const float size = std::fabs(values[j]);
    largest = size > largest ? size : largest;
  }
  const bool coded = largest > 0x1p-60f;
  const float inverse = coded ? best_inverse_step(values, n, largest) : 0.0f;
  for (std::size_t j = 0; j < n; j += kVector) {
    const Ints code = nibbles(load(values + j), inverse);
    for (std::size_t l = 0; l < kVector; ++l) {
      u[j + l] = static_cast<std::uint8_t>(code[l]);
    }
  }
  double xc = 0.0, cc = 0.0;
  for (std::size_t j = 0; j < n; ++j) {
    const double c = 2.0 * u[j] - 15.0;
    xc += y[j] * c;
    cc += c * c;
  }
  scale = coded ? static_cast<float>(xc / cc) : 0.0f;
  for (std::size_t j = 0; j < n; ++j) {
    y[j] -= static_cast<double>(scale) * (2.0 * u[j] - 15.0);
  }
  return cc;
}

double length(const double* y, std::size_t n) {
  double square = 0.0;
  for (std::size_t j = 0; j < n; ++j) square += y[j] * y[j];
  return std::sqrt(square);
}

// Two codes in each byte: dimension j and dimension n / 2 + j.
void pack_halves(const std::uint8_t* u, std::size_t n, std::uint8_t* out) {
  for (std::size_t j = 0; j < n / 2; ++j) {
    out[j] = static_cast<std::uint8_t>(u[j] | (u[n / 2 + j] << 4));
  }
}

// Codes the head, which stays as it is, with eight bits a dimension.
void encode_octets(const double* y, std::size_t head, Encoded& out) {
  constexpr double whole = 0x1.8p52;  // adding it rounds to an integer
  double c[kMaxDim];
  double largest = 0.0;
  for (std::size_t j = 0; j < head; ++j) {
    const double size = std::fabs(y[j]);
    largest = size > largest ? size : largest;
  }
  const bool coded = largest > 0x1p-60;
  const double inverse = coded ? 127.0 / largest : 0.0;
  double yc = 0.0, cc = 0.0;
  for (std::size_t j = 0; j < head; ++j) {
    c[j] = (y[j] * inverse + whole) - whole;
    yc += y[j] * c[j];
    cc += c[j] * c[j];
  }
  out.octet_scale = coded ? static_cast<float>(yc / cc) : 0.0f;
  double residual = 0.0;
  for (std::size_t j = 0; j < head; ++j) {
    const double z = y[j] - static_cast<double>(out.octet_scale) * c[j];
    residual += z * z;
    out.octet_block[j / kOctetDims * kGroupBytes + out.lane * kOctetDims +
                    j % kOctetDims] = static_cast<std::uint8_t>(c[j] + 128.0);
  }
  out.octet_residual = std::sqrt(residual);
}

void generic_encode(const float* y, std::size_t coded, std::size_t head,
                    Encoded& out) {
  double left[kMaxDim];
  std::uint8_t u[kMaxDim];
  const std::size_t rest = coded - head;
  for (std::size_t j = 0; j < coded; ++j) left[j] = y[j];
  out.rest_size = length(left + head, rest);
  encode_octets(left, head, out);
  const double cc = quantise(left, head, u, out.scale);
  out.inverse_norm = static_cast<float>(1.0 / std::sqrt(cc));
  out.residual = length(left, head);
  for (std::size_t j = 0; j < head; j += kGroupDims) {
    std::uint8_t* group = out.head_block + j / kGroupDims * kGroupBytes;
    for (std::size_t i = 0; i < 4; ++i) {
      group[out.lane * 4 + i] =
          static_cast<std::uint8_t>(u[j + i] | (u[j + 4 + i] << 4));
    }
  }
  if (rest > 0) {
    quantise(left + head, rest, u, out.rest_scale);
    pack_halves(u, rest, out.rest);
    out.rest_residual = length(left + head, rest);
  }
  quantise(left, head, u, out.low_scale);
  pack_halves(u, head, out.low);
  if (rest > 0) {
    quantise(left + head, rest, u, out.low_rest_scale);
    pack_halves(u, rest, out.low + head / 2);
  }
  out.low_residual = length(left, coded);
}

// x[l] = x[l + kShift], with zeros shifted in.
template <int kShift>
Floats shifted(const Floats& x) {
  Floats moved = {};
  for (int l = 0; l + kShift < 16; ++l) moved[l] = x[l + kShift];
  return moved;
}

#if defined(__clang__)
template <int kShift>
Floats shift_left(const Floats& x) {
  return shifted<kShift>(x);
}
#else
template <int kShift>
Floats shift_left(const Floats& x) {
  const Floats zero = {};
  Ints from = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return __builtin_shuffle(x, zero, from + kShift);
}
#endif

struct Recurrence {
  float gamma, c1, c2, c4, c8;
  Floats powers;  // c^16 ... c^1

  Recurrence(float gamma_, float lam) : gamma(gamma_) {
    c1 = gamma_ * lam;
    c2 = c1 * c1;
    c4 = c2 * c2;
    c8 = c4 * c4;
    float power = 1.0f;
    for (int l = 15; l >= 0; --l) powers[l] = power *= c1;
  }

  // Advantages of 16 steps; carry is that of the step after them.
  Floats block(const Floats& r, const Floats& v, float next_value,
               float carry) const {
    Floats next = shift_left<1>(v);
    next[15] = next_value;
    Floats x = r + gamma * next - v;
    x += c1 * shift_left<1>(x);
    x += c2 * shift_left<2>(x);
    x += c4 * shift_left<4>(x);
    x += c8 * shift_left<8>(x);
    return x + powers * carry;
  }
};

// `count` floats, in the last lanes.
Floats load_last(const float* p, std::size_t count) {
  Floats v = {};
  std::memcpy(reinterpret_cast<char*>(&v) + (kVector - count) * 4, p,
              count * 4);
  return v;
}

void store_last(float* p, const Floats& v, std::size_t count) {
  std::memcpy(p, reinterpret_cast<const char*>(&v) + (kVector - count) * 4,
              count * 4);
}

// Stores the lanes from `first` on. The others are written as they are: a
// copy of some bytes only would be a call.
void store_from(float* p, const Floats& v, std::size_t first) {
  const Ints lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const Ints none = {};
  const Floats mixed =
      lanes < none + static_cast<std::int32_t>(first) ? load(p) : v;
  std::memcpy(p, &mixed, sizeof mixed);
}

// The last trajectory first, so that all memory is read and written backwards
// at one pace. A trajectory's last block may begin before it: what lies there
// moves no lane above it.
void generic_gae(const Trajectories& all) {
  const Recurrence recurrence(all.gamma, all.lam);
  for (std::size_t i = all.count; i-- > 0;) {
    const auto start = static_cast<std::size_t>(all.offsets[i]);
    auto end = static_cast<std::size_t>(all.offsets[i + 1]);
    float carry = 0.0f;
    float next = all.bootstrap != nullptr ? all.bootstrap[i] : 0.0f;
    for (; end >= start + kVector; end -= kVector) {
      const std::size_t at = end - kVector;
      const Floats v = load(all.values + at);
      const Floats x =
          recurrence.block(load(all.rewards + at), v, next, carry);
      const Floats total = x + v;
      std::memcpy(all.advantages + at, &x, sizeof x);
      std::memcpy(all.returns + at, &total, sizeof total);
      carry = x[0];
      next = v[0];
    }
    if (end == start) continue;
    if (end >= kVector) {
      const std::size_t at = end - kVector;
      const Floats v = load(all.values + at);
      const Floats x =
          recurrence.block(load(all.rewards + at), v, next, carry);
      store_from(all.advantages + at, x, start - at);
      store_from(all.returns + at, x + v, start - at);
    } else {
      const std::size_t steps = end - start;
      const Floats v = load_last(all.values + start, steps);
      const Floats r = load_last(all.rewards + start, steps);
      const Floats x = recurrence.block(r, v, next, carry);
      store_last(all.advantages + start, x, steps);
      store_last(all.returns + start, x + v, steps);
    }
  }
}

}  // namespace
}  // namespace reconciler
