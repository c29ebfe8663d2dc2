// AVX2 and FMA.
#include <immintrin.h>

#include "kernels_generic.hpp"
#include "project.hpp"

namespace reconciler {
namespace {

__m256d widen(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }

// Adds the lanes as sum_lanes does.
double sum_registers(const __m256d* sums) {
  __m256d halves[4];
  for (std::size_t i = 0; i < 4; ++i) {
    halves[i] = _mm256_add_pd(sums[i], sums[i + 4]);
  }
  const __m256d four = _mm256_add_pd(_mm256_add_pd(halves[0], halves[2]),
                                     _mm256_add_pd(halves[1], halves[3]));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four),
                                 _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two))) + 0.0;
}

template <typename Term>
double sum_terms(const double* a, const float* b, std::size_t dim, Term term) {
  __m256d sums[8];
  for (auto& sum : sums) sum = _mm256_setzero_pd();
  std::size_t j = 0;
  for (; j + kLanes <= dim; j += kLanes) {
    for (std::size_t i = 0; i < 8; ++i) {
      sums[i] = term(_mm256_loadu_pd(a + j + 4 * i), widen(b + j + 4 * i),
                     sums[i]);
    }
  }
  if (j < dim) {
    double left[kLanes] = {};
    float right[kLanes] = {};
    std::memcpy(left, a + j, (dim - j) * sizeof(double));
    std::memcpy(right, b + j, (dim - j) * sizeof(float));
    for (std::size_t i = 0; i < 8; ++i) {
      sums[i] = term(_mm256_loadu_pd(left + 4 * i), widen(right + 4 * i),
                     sums[i]);
    }
  }
  return sum_registers(sums);
}

double dot(const double* a, const float* b, std::size_t dim) {
  return sum_terms(a, b, dim, [](__m256d x, __m256d y, __m256d sum) {
    return _mm256_fmadd_pd(x, y, sum);
  });
}

double square_distance(const double* a, const float* b, std::size_t dim) {
  return sum_terms(a, b, dim, [](__m256d x, __m256d y, __m256d sum) {
    const __m256d t = _mm256_sub_pd(x, y);
    return _mm256_add_pd(sum, _mm256_mul_pd(t, t));
  });
}

__m256i broadcast(const std::int8_t* p) {
  std::int32_t four;
  std::memcpy(&four, p, 4);
  return _mm256_set1_epi32(four);
}

// Half a block (8 rows) against kQueries queries. A 16-bit sum takes the
// products of four groups: 4 * 2 * (2 * 15 * 127) = 30,480 < 2^15.
template <std::size_t kQueries>
void scan_half(const std::uint8_t* block, std::size_t groups,
               const std::int8_t* const* queries, std::int32_t* dots,
               std::size_t stride) {
  const __m256i mask = _mm256_set1_epi8(15);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums[kQueries];
  for (auto& sum : sums) sum = _mm256_setzero_si256();
  for (std::size_t g = 0; g < groups; g += 4) {
    __m256i narrow[kQueries];
    for (auto& sum : narrow) sum = _mm256_setzero_si256();
    for (std::size_t i = g; i < g + 4; ++i) {
      const std::uint8_t* group = block + i * kGroupBytes;
      const __m256i codes =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(group));
      _mm_prefetch(reinterpret_cast<const char*>(group + 8192), _MM_HINT_T0);
      const __m256i low = _mm256_and_si256(codes, mask);
      const __m256i high = _mm256_and_si256(_mm256_srli_epi16(codes, 4), mask);
      for (std::size_t q = 0; q < kQueries; ++q) {
        const std::int8_t* a = queries[q] + i * kGroupDims;
        narrow[q] = _mm256_add_epi16(
            narrow[q],
            _mm256_add_epi16(_mm256_maddubs_epi16(low, broadcast(a)),
                             _mm256_maddubs_epi16(high, broadcast(a + 4))));
      }
    }
    for (std::size_t q = 0; q < kQueries; ++q) {
      sums[q] =
          _mm256_add_epi32(sums[q], _mm256_madd_epi16(narrow[q], ones));
    }
  }
  for (std::size_t q = 0; q < kQueries; ++q) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dots + q * stride),
                        sums[q]);
  }
}

template <std::size_t kQueries>
void scan_queries(const std::uint8_t* head, std::size_t groups,
                  std::size_t blocks, const std::int8_t* const* queries,
                  std::int32_t* dots, std::size_t stride) {
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::uint8_t* block = head + b * groups * kGroupBytes;
    std::int32_t* out = dots + b * kBlockRows;
    scan_half<kQueries>(block, groups, queries, out, stride);
    scan_half<kQueries>(block + 32, groups, queries, out + 8, stride);
  }
}

void scan(const std::uint8_t* head, std::size_t groups, std::size_t blocks,
          const std::int8_t* const* queries, std::size_t count,
          std::int32_t* dots, std::size_t stride) {
  std::size_t q = 0;
  for (; q + 4 <= count; q += 4) {
    scan_queries<4>(head, groups, blocks, queries + q, dots + q * stride,
                    stride);
  }
  for (; q < count; ++q) {
    scan_queries<1>(head, groups, blocks, queries + q, dots + q * stride,
                    stride);
  }
}

std::size_t select(const float* upper, std::size_t count, float threshold,
                   std::uint32_t* rows) {
  const __m256 limit = _mm256_set1_ps(threshold);
  std::size_t found = 0, i = 0;
  for (; i + 8 <= count; i += 8) {
    unsigned bits = static_cast<unsigned>(_mm256_movemask_ps(
        _mm256_cmp_ps(_mm256_loadu_ps(upper + i), limit, _CMP_GE_OQ)));
    for (; bits != 0; bits &= bits - 1) {
      rows[found++] = static_cast<std::uint32_t>(i) +
                      static_cast<std::uint32_t>(__builtin_ctz(bits));
    }
  }
  for (; i < count; ++i) {
    if (upper[i] >= threshold) rows[found++] = static_cast<std::uint32_t>(i);
  }
  return found;
}

std::int32_t row_dot(const std::uint8_t* row, const std::int8_t* query,
                     std::size_t dims) {
  const std::size_t half = dims / 2;
  const __m128i mask = _mm_set1_epi8(15);
  const __m128i ones = _mm_set1_epi16(1);
  __m128i sum = _mm_setzero_si128();
  for (std::size_t j = 0; j < half; j += 16) {
    const __m128i codes =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + j));
    const __m128i a =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(query + j));
    const __m128i b =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(query + half + j));
    const __m128i products = _mm_add_epi16(
        _mm_maddubs_epi16(_mm_and_si128(codes, mask), a),
        _mm_maddubs_epi16(_mm_and_si128(_mm_srli_epi16(codes, 4), mask), b));
    sum = _mm_add_epi32(sum, _mm_madd_epi16(products, ones));
  }
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
  return _mm_cvtsi128_si32(sum);
}

struct Unit {
  using Floats = __m256;
  static constexpr std::size_t kWidth = 8;
  static Floats zero() { return _mm256_setzero_ps(); }
  static Floats load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Floats x) { _mm256_storeu_ps(p, x); }
  static Floats broadcast(float x) { return _mm256_set1_ps(x); }
  static Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) {
    return _mm256_fmadd_ps(a, b, c);
  }
};

}  // namespace

extern const Kernels kAvx2;
const Kernels kAvx2 = {
    "avx2",
    dot,
    square_distance,
    sieve_strips<scan, select>,
    nullptr,
    each_row_dot<row_dot>,
    generic_rotate,
    project<Unit, 2, 2>,
    generic_encode,
    generic_gae,
};

}  // namespace reconciler
