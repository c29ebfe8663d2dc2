// AVX-512 (F, BW, VL, DQ), compiled twice: with and without VNNI.
#include <immintrin.h>

#include "kernels_generic.hpp"

namespace reconciler {
namespace {

__m512d widen(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }

template <typename Term>
double sum_terms(const float* a, const float* b, std::size_t dim, Term term) {
  __m512d sums[4];
  for (auto& sum : sums) sum = _mm512_setzero_pd();
  std::size_t j = 0;
  for (; j + kLanes <= dim; j += kLanes) {
    for (std::size_t i = 0; i < 4; ++i) {
      sums[i] = term(widen(a + j + 8 * i), widen(b + j + 8 * i), sums[i]);
    }
  }
  if (j < dim) {
    float left[kLanes] = {}, right[kLanes] = {};
    std::memcpy(left, a + j, (dim - j) * sizeof(float));
    std::memcpy(right, b + j, (dim - j) * sizeof(float));
    for (std::size_t i = 0; i < 4; ++i) {
      sums[i] = term(widen(left + 8 * i), widen(right + 8 * i), sums[i]);
    }
  }
  alignas(64) double lanes[kLanes];
  for (std::size_t i = 0; i < 4; ++i) _mm512_store_pd(lanes + 8 * i, sums[i]);
  return sum_lanes(lanes);
}

double dot(const float* a, const float* b, std::size_t dim) {
  return sum_terms(a, b, dim, [](__m512d x, __m512d y, __m512d sum) {
    return _mm512_fmadd_pd(x, y, sum);
  });
}

double square_distance(const float* a, const float* b, std::size_t dim) {
  return sum_terms(a, b, dim, [](__m512d x, __m512d y, __m512d sum) {
    const __m512d t = _mm512_sub_pd(x, y);
    return _mm512_add_pd(sum, _mm512_mul_pd(t, t));
  });
}

__m512i broadcast(const std::int8_t* p) {
  std::int32_t four;
  std::memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}

// Adds the products of unsigned codes and signed query bytes, four at a time.
__m512i multiply_add(__m512i sum, __m512i codes, __m512i query) {
#ifdef __AVX512VNNI__
  return _mm512_dpbusd_epi32(sum, codes, query);
#else
  return _mm512_add_epi32(
      sum, _mm512_madd_epi16(_mm512_maddubs_epi16(codes, query),
                             _mm512_set1_epi16(1)));
#endif
}

template <std::size_t kQueries, std::size_t kBlocks>
void scan_blocks(const std::uint8_t* block, std::size_t groups,
                 const std::int8_t* const* queries, std::int32_t* dots,
                 std::size_t stride) {
  const __m512i mask = _mm512_set1_epi8(15);
  const std::size_t bytes = groups * kGroupBytes;
  __m512i sums[kBlocks][kQueries];
  for (auto& block_sums : sums) {
    for (auto& sum : block_sums) sum = _mm512_setzero_si512();
  }
  for (std::size_t g = 0; g < groups; ++g) {
    __m512i low[kBlocks], high[kBlocks];
    for (std::size_t b = 0; b < kBlocks; ++b) {
      const std::uint8_t* group = block + b * bytes + g * kGroupBytes;
      const __m512i codes = _mm512_loadu_si512(group);
      _mm_prefetch(reinterpret_cast<const char*>(group + 8192), _MM_HINT_T0);
      low[b] = _mm512_and_si512(codes, mask);
      high[b] = _mm512_and_si512(_mm512_srli_epi16(codes, 4), mask);
    }
    for (std::size_t q = 0; q < kQueries; ++q) {
      const std::int8_t* a = queries[q] + g * kGroupDims;
      const __m512i first = broadcast(a), second = broadcast(a + 4);
      for (std::size_t b = 0; b < kBlocks; ++b) {
        sums[b][q] = multiply_add(sums[b][q], low[b], first);
        sums[b][q] = multiply_add(sums[b][q], high[b], second);
      }
    }
  }
  for (std::size_t b = 0; b < kBlocks; ++b) {
    for (std::size_t q = 0; q < kQueries; ++q) {
      _mm512_storeu_si512(dots + q * stride + b * kBlockRows, sums[b][q]);
    }
  }
}

// One query: memory is the limit, so codes are read strictly in order, and four
// sums keep additions from waiting for each other.
void scan_one(const std::uint8_t* high, std::size_t groups,
              std::size_t blocks, const std::int8_t* query,
              std::int32_t* dots) {
  constexpr std::size_t ahead = 8192;
  const __m512i mask = _mm512_set1_epi8(15);
  for (std::size_t b = 0; b < blocks; ++b) {
    __m512i sums[4];
    for (auto& sum : sums) sum = _mm512_setzero_si512();
    for (std::size_t g = 0; g < groups; g += 2) {
      for (std::size_t i = 0; i < 2; ++i) {
        const std::uint8_t* group = high + (g + i) * kGroupBytes;
        _mm_prefetch(reinterpret_cast<const char*>(group + ahead),
                     _MM_HINT_T0);
        const __m512i codes = _mm512_loadu_si512(group);
        const std::int8_t* a = query + (g + i) * kGroupDims;
        sums[2 * i] = multiply_add(
            sums[2 * i], _mm512_and_si512(codes, mask), broadcast(a));
        sums[2 * i + 1] = multiply_add(
            sums[2 * i + 1],
            _mm512_and_si512(_mm512_srli_epi16(codes, 4), mask),
            broadcast(a + 4));
      }
    }
    const __m512i first = _mm512_add_epi32(sums[0], sums[1]);
    const __m512i second = _mm512_add_epi32(sums[2], sums[3]);
    _mm512_storeu_si512(dots + b * kBlockRows,
                        _mm512_add_epi32(first, second));
    high += groups * kGroupBytes;
  }
}

template <std::size_t kQueries, std::size_t kBlocks>
void scan_queries(const std::uint8_t* high, std::size_t groups,
                  std::size_t blocks, const std::int8_t* const* queries,
                  std::int32_t* dots, std::size_t stride) {
  const std::size_t bytes = groups * kGroupBytes;
  std::size_t b = 0;
  for (; b + kBlocks <= blocks; b += kBlocks) {
    scan_blocks<kQueries, kBlocks>(high + b * bytes, groups, queries,
                                   dots + b * kBlockRows, stride);
  }
  for (; b < blocks; ++b) {
    scan_blocks<kQueries, 1>(high + b * bytes, groups, queries,
                             dots + b * kBlockRows, stride);
  }
}

void scan(const std::uint8_t* high, std::size_t groups, std::size_t blocks,
          const std::int8_t* const* queries, std::size_t count,
          std::int32_t* dots, std::size_t stride) {
  std::size_t q = 0;
  for (; q + 8 <= count; q += 8) {
    scan_queries<8, 2>(high, groups, blocks, queries + q, dots + q * stride,
                       stride);
  }
  for (; q < count; ++q) {
    scan_one(high, groups, blocks, queries[q], dots + q * stride);
  }
}

std::size_t select(const float* upper, std::size_t count, float threshold,
                   std::uint32_t* rows) {
  const __m512 limit = _mm512_set1_ps(threshold);
  std::size_t found = 0, i = 0;
  for (; i + 16 <= count; i += 16) {
    unsigned bits =
        _mm512_cmp_ps_mask(_mm512_loadu_ps(upper + i), limit, _CMP_GE_OQ);
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

std::int32_t low_dot(const std::uint8_t* low, const std::int8_t* query,
                     std::size_t coded) {
  const std::size_t half = coded / 2;
  const __m512i mask = _mm512_set1_epi8(15);
  __m512i sum = _mm512_setzero_si512();
  for (std::size_t j = 0; j < half; j += 64) {
    const __mmask64 valid =
        half - j >= 64 ? ~__mmask64{0} : (__mmask64{1} << (half - j)) - 1;
    const __m512i codes = _mm512_maskz_loadu_epi8(valid, low + j);
    const __m512i a = _mm512_maskz_loadu_epi8(valid, query + j);
    const __m512i b = _mm512_maskz_loadu_epi8(valid, query + half + j);
    sum = multiply_add(sum, _mm512_and_si512(codes, mask), a);
    sum = multiply_add(
        sum, _mm512_and_si512(_mm512_srli_epi16(codes, 4), mask), b);
  }
  return _mm512_reduce_add_epi32(sum);
}

}  // namespace

#ifdef __AVX512VNNI__
#define RECONCILER_TABLE kAvx512Vnni
#define RECONCILER_NAME "avx512vnni"
#else
#define RECONCILER_TABLE kAvx512
#define RECONCILER_NAME "avx512"
#endif
extern const Kernels RECONCILER_TABLE;
const Kernels RECONCILER_TABLE = {
    RECONCILER_NAME, dot,    square_distance, scan,           generic_bound,
    select,          each_low_dot<low_dot>, generic_rotate, generic_encode, generic_gae,
};

}  // namespace reconciler
