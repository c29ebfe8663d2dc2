// From the dots of octets to the rows that pass, with AVX-512.
#pragma once

#include <immintrin.h>

#include <type_traits>

#include "kernels_generic.hpp"

namespace reconciler {
namespace {

// Bounds 64 rows for a query: bit i is set if row i may pass. Branches wait
// until all are known. Where a bound lies so near the threshold that the order
// of rounding matters, either answer is right (bounds.hpp).
template <bool kRest, bool kNorm>
std::uint64_t passing(const std::int32_t* dots, const Side& side,
                      std::size_t row, std::size_t blocks,
                      const OctetQuery& query) {
  std::uint64_t mask = 0;
  const __m512 least = _mm512_set1_ps(query.threshold);
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::size_t at = row + b * kBlockRows;
    const __m512 dot =
        _mm512_cvtepi32_ps(_mm512_loadu_si512(dots + b * kBlockRows));
    __m512 upper = _mm512_mul_ps(_mm512_loadu_ps(side.octet_scale + at), dot);
    upper = _mm512_fmadd_ps(_mm512_loadu_ps(side.octet_residual + at),
                            _mm512_set1_ps(query.norm), upper);
    if (kRest) {
      upper = _mm512_fmadd_ps(_mm512_loadu_ps(side.rest + at),
                              _mm512_set1_ps(query.rest), upper);
    }
    if (kNorm) {
      upper = _mm512_fmadd_ps(_mm512_loadu_ps(side.norm + at),
                              _mm512_set1_ps(query.error), upper);
    }
    if (kNorm && side.half_square != nullptr) {
      upper = _mm512_fnmadd_ps(_mm512_loadu_ps(side.half_square + at),
                               _mm512_set1_ps(query.half_weight), upper);
    }
    const std::uint64_t some =
        _mm512_cmp_ps_mask(upper, least, _CMP_GE_OQ);
    mask |= some << (b * kBlockRows);
  }
  return mask;
}

// Writes what passed of the rows from `row` on, at most 64 of them, for
// queries from `first` on. Dots of a query lie together, `stride` apart.
template <bool kRest, bool kNorm>
[[gnu::noinline]] Passed* keep_octets(const std::int32_t* dots,
                                      std::size_t stride, const Side& side,
                                      std::size_t row, std::size_t blocks,
                                      const OctetQuery* queries,
                                      std::size_t first, std::size_t count,
                                      Passed* passed) {
  for (std::size_t q = 0; q < count; ++q) {
    const OctetQuery& query = queries[first + q];
    const std::int32_t* own = dots + q * stride;
    std::uint64_t mask =
        blocks == 4 ? passing<kRest, kNorm>(own, side, row, 4, query)
                    : passing<kRest, kNorm>(own, side, row, blocks, query);
    for (; mask != 0; mask &= mask - 1) {
      const auto i = static_cast<std::size_t>(__builtin_ctzll(mask));
      *passed = bound_octets(query, side, row + i, own[i]);
      passed->query = static_cast<std::uint32_t>(first + q);
      ++passed;
    }
  }
  return passed;
}

// Calls sieve(rest, norm) with constants that tell which arrays the side has;
// it returns the end of what passed.
template <typename Sieve>
std::size_t sieve_kind(const Side& side, const Passed* passed,
                       const Sieve& sieve) {
  constexpr std::true_type yes;
  constexpr std::false_type no;
  const bool norm = side.norm != nullptr;
  const Passed* end = side.rest != nullptr
                          ? norm ? sieve(yes, yes) : sieve(yes, no)
                          : norm ? sieve(no, yes) : sieve(no, no);
  return static_cast<std::size_t>(end - passed);
}

}  // namespace
}  // namespace reconciler
