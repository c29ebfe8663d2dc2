// AVX-512 (F, BW, VL, DQ), compiled three times: as it is, with VNNI, and with
// VNNI and AMX.
#include <immintrin.h>

#include "kernels_generic.hpp"
#include "project.hpp"
#if defined(__AMX_INT8__)
#include "octets_amx.hpp"
#elif defined(__AVX512VNNI__)
#include "octets_vnni.hpp"
#endif

namespace reconciler {
namespace {

__m512d widen(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }

// Adds the lanes as sum_lanes does.
double sum_registers(const __m512d* sums) {
  const __m512d eight = _mm512_add_pd(_mm512_add_pd(sums[0], sums[2]),
                                      _mm512_add_pd(sums[1], sums[3]));
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight),
                                     _mm512_extractf64x4_pd(eight, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four),
                                 _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two))) + 0.0;
}

template <typename Term>
double sum_terms(const double* a, const float* b, std::size_t dim, Term term) {
  __m512d sums[4];
  for (auto& sum : sums) sum = _mm512_setzero_pd();
  std::size_t j = 0;
  for (; j + kLanes <= dim; j += kLanes) {
    for (std::size_t i = 0; i < 4; ++i) {
      sums[i] = term(_mm512_loadu_pd(a + j + 8 * i), widen(b + j + 8 * i),
                     sums[i]);
    }
  }
  if (j < dim) {
    double left[kLanes] = {};
    float right[kLanes] = {};
    std::memcpy(left, a + j, (dim - j) * sizeof(double));
    std::memcpy(right, b + j, (dim - j) * sizeof(float));
    for (std::size_t i = 0; i < 4; ++i) {
      sums[i] = term(_mm512_loadu_pd(left + 8 * i), widen(right + 8 * i),
                     sums[i]);
    }
  }
  return sum_registers(sums);
}

double dot(const double* a, const float* b, std::size_t dim) {
  return sum_terms(a, b, dim, [](__m512d x, __m512d y, __m512d sum) {
    return _mm512_fmadd_pd(x, y, sum);
  });
}

double square_distance(const double* a, const float* b, std::size_t dim) {
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

// Dots of some queries with some blocks. Codes are read strictly in order: for
// few queries memory is the limit.
template <std::size_t kQueries, std::size_t kBlocks>
struct Dots {
  __m512i sums[kBlocks][kQueries];

  Dots(const std::uint8_t* block, std::size_t groups,
       const std::int8_t* const* queries) {
    constexpr std::size_t ahead = 8192;
    const __m512i mask = _mm512_set1_epi8(15);
    const std::size_t bytes = groups * kGroupBytes;
    // Local, or the compiler would write them to memory at each step.
    __m512i local[kBlocks][kQueries];
    for (auto& block_sums : local) {
      for (auto& sum : block_sums) sum = _mm512_setzero_si512();
    }
    for (std::size_t g = 0; g < groups; ++g) {
      __m512i low[kBlocks], high[kBlocks];
      for (std::size_t b = 0; b < kBlocks; ++b) {
        const std::uint8_t* group = block + b * bytes + g * kGroupBytes;
        const __m512i codes = _mm512_loadu_si512(group);
        _mm_prefetch(reinterpret_cast<const char*>(group + ahead),
                     _MM_HINT_T0);
        low[b] = _mm512_and_si512(codes, mask);
        high[b] = _mm512_and_si512(_mm512_srli_epi16(codes, 4), mask);
      }
      for (std::size_t q = 0; q < kQueries; ++q) {
        const std::int8_t* a = queries[q] + g * kGroupDims;
        const __m512i first = broadcast(a), second = broadcast(a + 4);
        for (std::size_t b = 0; b < kBlocks; ++b) {
          local[b][q] = multiply_add(local[b][q], low[b], first);
          local[b][q] = multiply_add(local[b][q], high[b], second);
        }
      }
    }
    for (std::size_t b = 0; b < kBlocks; ++b) {
      for (std::size_t q = 0; q < kQueries; ++q) sums[b][q] = local[b][q];
    }
  }
};

// One block for one query, with sums that do not wait for each other.
template <>
struct Dots<1, 1> {
  __m512i sums[1][1];

  Dots(const std::uint8_t* block, std::size_t groups,
       const std::int8_t* const* queries) {
    constexpr std::size_t ahead = 8192;
    const __m512i mask = _mm512_set1_epi8(15);
    __m512i parts[4];
    for (auto& part : parts) part = _mm512_setzero_si512();
    for (std::size_t g = 0; g < groups; g += 2) {
      for (std::size_t i = 0; i < 2; ++i) {
        const std::uint8_t* group = block + (g + i) * kGroupBytes;
        _mm_prefetch(reinterpret_cast<const char*>(group + ahead),
                     _MM_HINT_T0);
        const __m512i codes = _mm512_loadu_si512(group);
        const std::int8_t* a = queries[0] + (g + i) * kGroupDims;
        parts[2 * i] = multiply_add(
            parts[2 * i], _mm512_and_si512(codes, mask), broadcast(a));
        parts[2 * i + 1] = multiply_add(
            parts[2 * i + 1],
            _mm512_and_si512(_mm512_srli_epi16(codes, 4), mask),
            broadcast(a + 4));
      }
    }
    sums[0][0] = _mm512_add_epi32(_mm512_add_epi32(parts[0], parts[1]),
                                  _mm512_add_epi32(parts[2], parts[3]));
  }
};

// The constants of one block.
struct BlockSide {
  __m512 scale, residual, inverse, size, norm, square;

  BlockSide(const Side& side, std::size_t row)
      : scale(_mm512_loadu_ps(side.scale + row)),
        residual(_mm512_loadu_ps(side.residual + row)) {
    if (side.rest == nullptr) {
      inverse = _mm512_loadu_ps(side.inverse_norm + row);
    } else {
      size = _mm512_loadu_ps(side.rest + row);
    }
    if (side.norm != nullptr) norm = _mm512_loadu_ps(side.norm + row);
    if (side.half_square != nullptr) {
      square = _mm512_loadu_ps(side.half_square + row);
    }
  }
};

// Keeps the rows of a block that passed.
void append(__mmask16 passed, std::size_t row, __m512 estimate, __m512 upper,
            Sieve& query) {
  const __m512i rows = _mm512_add_epi32(
      _mm512_set1_epi32(static_cast<std::int32_t>(row)),
      _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  const std::size_t at = query.found;
  _mm512_storeu_si512(query.rows + at,
                      _mm512_maskz_compress_epi32(passed, rows));
  _mm512_storeu_ps(query.estimates + at,
                   _mm512_maskz_compress_ps(passed, estimate));
  _mm512_storeu_ps(query.upper + at, _mm512_maskz_compress_ps(passed, upper));
  query.found = at + static_cast<std::size_t>(__builtin_popcount(passed));
}

// Bounds one block for one query as bound_rows does, and keeps what passes.
template <bool kRest>
void keep(__m512i dots, const Side& side, const BlockSide& block,
          std::size_t row, Sieve& query) {
  const SieveBound& bound = *query.bound;
  const __m512 dot =
      _mm512_sub_ps(_mm512_cvtepi32_ps(dots), _mm512_set1_ps(bound.half));
  const __m512 estimate = _mm512_mul_ps(block.scale, dot);
  __m512 upper;
  if (kRest) {
    upper = _mm512_fmadd_ps(block.residual, _mm512_set1_ps(bound.norm),
                            estimate);
    upper = _mm512_fmadd_ps(block.size, _mm512_set1_ps(bound.rest), upper);
  } else {
    const __m512 alpha = _mm512_mul_ps(dot, block.inverse);
    const __m512 across =
        _mm512_max_ps(_mm512_fnmadd_ps(alpha, alpha,
                                       _mm512_set1_ps(bound.norm_square)),
                      _mm512_setzero_ps());
    upper = _mm512_fmadd_ps(block.residual, _mm512_sqrt_ps(across), estimate);
  }
  if (side.norm != nullptr) {
    upper = _mm512_fmadd_ps(block.norm, _mm512_set1_ps(bound.error), upper);
  }
  if (side.half_square != nullptr) {
    upper = _mm512_fnmadd_ps(block.square, _mm512_set1_ps(bound.half_weight),
                             upper);
  }
  const __mmask16 passed = _mm512_cmp_ps_mask(
      upper, _mm512_set1_ps(query.threshold), _CMP_GE_OQ);
  if (passed != 0) append(passed, row, estimate, upper, query);
}

template <bool kRest, std::size_t kQueries, std::size_t kBlocks>
void sieve_blocks(const std::uint8_t* head, std::size_t groups,
                  std::size_t first, const std::int8_t* const* codes,
                  const Side& side, Sieve* queries) {
  const Dots<kQueries, kBlocks> dots(head + first * groups * kGroupBytes,
                                     groups, codes);
  for (std::size_t b = 0; b < kBlocks; ++b) {
    const std::size_t row = (first + b) * kBlockRows;
    const BlockSide block(side, row);
    for (std::size_t q = 0; q < kQueries; ++q) {
      keep<kRest>(dots.sums[b][q], side, block, row, queries[q]);
    }
  }
}

template <bool kRest, std::size_t kQueries, std::size_t kBlocks>
void sieve_queries(const std::uint8_t* head, std::size_t groups,
                   std::size_t blocks, const Side& side, Sieve* queries) {
  const std::int8_t* codes[kQueries];
  for (std::size_t q = 0; q < kQueries; ++q) codes[q] = queries[q].code;
  std::size_t b = 0;
  for (; b + kBlocks <= blocks; b += kBlocks) {
    sieve_blocks<kRest, kQueries, kBlocks>(head, groups, b, codes, side,
                                           queries);
  }
  for (; b < blocks; ++b) {
    sieve_blocks<kRest, kQueries, 1>(head, groups, b, codes, side, queries);
  }
}

template <bool kRest>
void sieve_all(const std::uint8_t* head, std::size_t groups,
               std::size_t blocks, const Side& side, Sieve* queries,
               std::size_t count) {
  std::size_t q = 0;
  for (; q + 8 <= count; q += 8) {
    sieve_queries<kRest, 8, 2>(head, groups, blocks, side, queries + q);
  }
  for (; q < count; ++q) {
    sieve_queries<kRest, 1, 1>(head, groups, blocks, side, queries + q);
  }
}

void sieve(const std::uint8_t* head, std::size_t groups, std::size_t blocks,
           const Side& side, Sieve* queries, std::size_t count) {
  if (side.rest != nullptr) {
    sieve_all<true>(head, groups, blocks, side, queries, count);
  } else {
    sieve_all<false>(head, groups, blocks, side, queries, count);
  }
}

std::int32_t row_dot(const std::uint8_t* codes, const std::int8_t* query,
                     std::size_t dims) {
  const std::size_t half = dims / 2;
  const __m512i mask = _mm512_set1_epi8(15);
  __m512i first = _mm512_setzero_si512(), second = first;
  for (std::size_t j = 0; j < half; j += 64) {
    const __mmask64 valid =
        half - j >= 64 ? ~__mmask64{0} : (__mmask64{1} << (half - j)) - 1;
    const __m512i both = _mm512_maskz_loadu_epi8(valid, codes + j);
    const __m512i a = _mm512_maskz_loadu_epi8(valid, query + j);
    const __m512i b = _mm512_maskz_loadu_epi8(valid, query + half + j);
    first = multiply_add(first, _mm512_and_si512(both, mask), a);
    second = multiply_add(
        second, _mm512_and_si512(_mm512_srli_epi16(both, 4), mask), b);
  }
  return _mm512_reduce_add_epi32(_mm512_add_epi32(first, second));
}

struct Unit {
  using Floats = __m512;
  static constexpr std::size_t kWidth = 16;
  static Floats zero() { return _mm512_setzero_ps(); }
  static Floats load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Floats x) { _mm512_storeu_ps(p, x); }
  static Floats broadcast(float x) { return _mm512_set1_ps(x); }
  static Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) {
    return _mm512_fmadd_ps(a, b, c);
  }
};

}  // namespace

#if defined(__AMX_INT8__)
constexpr auto kSieveOctets = sieve_octets_on_tiles;
#define RECONCILER_TABLE kAmx
#define RECONCILER_NAME "amx"
#elif defined(__AVX512VNNI__)
constexpr auto kSieveOctets = sieve_octets;
#define RECONCILER_TABLE kAvx512Vnni
#define RECONCILER_NAME "avx512vnni"
#else
constexpr decltype(Kernels::sieve_octets) kSieveOctets = nullptr;
#define RECONCILER_TABLE kAvx512
#define RECONCILER_NAME "avx512"
#endif
extern const Kernels RECONCILER_TABLE;
const Kernels RECONCILER_TABLE = {
    RECONCILER_NAME,       dot,
    square_distance,       sieve,
    kSieveOctets,          each_row_dot<row_dot>,
    generic_rotate,        project<Unit, 8, 4>,
    generic_encode,        generic_gae,
};

}  // namespace reconciler
