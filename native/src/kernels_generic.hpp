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

[[maybe_unused]] double generic_dot(const float* a, const float* b,
                                    std::size_t dim) {
  double lanes[kLanes] = {};
  std::size_t j = 0;
  for (; j + kLanes <= dim; j += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) {
      lanes[l] += static_cast<double>(a[j + l]) * static_cast<double>(b[j + l]);
    }
  }
  for (std::size_t l = 0; j + l < dim; ++l) {
    lanes[l] += static_cast<double>(a[j + l]) * static_cast<double>(b[j + l]);
  }
  return sum_lanes(lanes);
}

[[maybe_unused]] double generic_square_distance(const float* a, const float* b,
                                                std::size_t dim) {
  double lanes[kLanes] = {};
  std::size_t j = 0;
  for (; j + kLanes <= dim; j += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) {
      const double t =
          static_cast<double>(a[j + l]) - static_cast<double>(b[j + l]);
      lanes[l] += t * t;
    }
  }
  for (std::size_t l = 0; j + l < dim; ++l) {
    const double t =
        static_cast<double>(a[j + l]) - static_cast<double>(b[j + l]);
    lanes[l] += t * t;
  }
  return sum_lanes(lanes);
}

[[maybe_unused]] void generic_scan(const std::uint8_t* high,
                                   std::size_t groups, std::size_t blocks,
                                   const std::int8_t* const* queries,
                                   std::size_t count, std::int32_t* dots,
                                   std::size_t stride) {
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::uint8_t* block = high + b * groups * kGroupBytes;
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

[[maybe_unused]] std::int32_t generic_low_dot(const std::uint8_t* low,
                                              const std::int8_t* query,
                                              std::size_t coded) {
  const std::size_t half = coded / 2;
  std::int32_t sum = 0;
  for (std::size_t j = 0; j < half; ++j) {
    sum += (low[j] & 15) * query[j] + (low[j] >> 4) * query[half + j];
  }
  return sum;
}

template <std::int32_t (*kDot)(const std::uint8_t*, const std::int8_t*,
                               std::size_t)>
void each_low_dot(const std::uint8_t* low, const std::int8_t* query,
                  std::size_t coded, const std::uint32_t* rows,
                  std::size_t count, std::int32_t* dots) {
  constexpr std::size_t ahead = 12;
  const std::size_t bytes = coded / 2;
  for (std::size_t i = 0; i < count; ++i) {
    if (i + ahead < count) {
      const char* next =
          reinterpret_cast<const char*>(low + rows[i + ahead] * bytes);
      for (std::size_t at = 0; at < bytes; at += 64) {
        __builtin_prefetch(next + at);
      }
    }
    dots[i] = kDot(low + rows[i] * bytes, query, coded);
  }
}

template <bool kNorm, bool kSquare>
void bound_rows(const BoundQuery& query, const Side& side,
                const std::int32_t* __restrict dots, std::size_t count,
                float* __restrict upper) {
  const float step = query.step, n2 = query.norm_square;
  const float error = query.error, weight = query.half_weight;
  const std::int32_t shift = 15 * query.sum;
  const float* __restrict scale = side.scale;
  const float* __restrict inverse = side.inverse_norm;
  const float* __restrict residual = side.residual;
  const float* __restrict norm = side.norm;
  const float* __restrict square = side.half_square;
  for (std::size_t i = 0; i < count; ++i) {
    const float z = step * static_cast<float>(2 * dots[i] - shift);
    const float alpha = z * inverse[i];
    float across = n2 - alpha * alpha;
    across = across > 0.0f ? across : 0.0f;
    float bound = scale[i] * z + residual[i] * std::sqrt(across);
    bound += kNorm ? error * norm[i] : error;
    if (kSquare) bound -= weight * square[i];
    upper[i] = bound;
  }
}

[[maybe_unused]] void generic_bound(const BoundQuery& query, const Side& side,
                                    const std::int32_t* dots,
                                    std::size_t count, float* upper) {
  if (side.half_square != nullptr) {
    bound_rows<true, true>(query, side, dots, count, upper);
  } else if (side.norm != nullptr) {
    bound_rows<true, false>(query, side, dots, count, upper);
  } else {
    bound_rows<false, false>(query, side, dots, count, upper);
  }
}

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

void generic_encode(const double* y, std::size_t coded, Encoded& out) {
  double rest[kMaxDim];
  std::uint8_t u[kMaxDim];
  std::memcpy(rest, y, coded * sizeof(double));
  const double cc = quantise(rest, coded, u, out.scale);
  out.inverse_norm = static_cast<float>(1.0 / std::sqrt(cc));
  out.residual = length(rest, coded);
  for (std::size_t j = 0; j < coded; j += kGroupDims) {
    std::uint8_t* group = out.high_block + j / kGroupDims * kGroupBytes;
    for (std::size_t i = 0; i < 4; ++i) {
      group[out.lane * 4 + i] =
          static_cast<std::uint8_t>(u[j + i] | (u[j + 4 + i] << 4));
    }
  }
  quantise(rest, coded, u, out.low_scale);
  out.low_residual = length(rest, coded);
  for (std::size_t j = 0; j < coded / 2; ++j) {
    out.low[j] = static_cast<std::uint8_t>(u[j] | (u[coded / 2 + j] << 4));
  }
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

void generic_gae(const float* rewards, const float* values, std::size_t steps,
                 float bootstrap, float gamma, float lam, float* advantages,
                 float* returns) {
  const Recurrence recurrence(gamma, lam);
  float carry = 0.0f, next = bootstrap;
  std::size_t end = steps;
  for (; end >= kVector; end -= kVector) {
    const std::size_t at = end - kVector;
    const Floats v = load(values + at);
    const Floats x = recurrence.block(load(rewards + at), v, next, carry);
    const Floats total = x + v;
    std::memcpy(advantages + at, &x, sizeof x);
    std::memcpy(returns + at, &total, sizeof total);
    carry = x[0];
    next = v[0];
  }
  if (end == 0) return;
  Floats r = {}, v = {};
  std::memcpy(reinterpret_cast<char*>(&r) + (kVector - end) * 4, rewards,
              end * 4);
  std::memcpy(reinterpret_cast<char*>(&v) + (kVector - end) * 4, values,
              end * 4);
  const Floats x = recurrence.block(r, v, next, carry);
  const Floats total = x + v;
  std::memcpy(advantages,
              reinterpret_cast<const char*>(&x) + (kVector - end) * 4, end * 4);
  std::memcpy(returns,
              reinterpret_cast<const char*>(&total) + (kVector - end) * 4,
              end * 4);
}

}  // namespace
}  // namespace reconciler
