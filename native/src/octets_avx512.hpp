// From the dots of octets to the rows that pass, with AVX-512.
#pragma once

#include <immintrin.h>

#include <type_traits>

#include "kernels_generic.hpp"

namespace reconciler {
namespace {

// What rows of a panel, at most 64, have in common.
struct OctetPanel {
  const Side& side;
  std::size_t row;     // the first
  std::size_t blocks;  // how many
  float residual;      // the largest

  OctetPanel(const Side& side_, std::size_t row_, std::size_t blocks_)
      : side(side_), row(row_), blocks(blocks_) {
    __m512 most = _mm512_setzero_ps();
    for (std::size_t b = 0; b < blocks; ++b) {
      most = _mm512_max_ps(most, _mm512_loadu_ps(side.octet_residual + row +
                                                 b * kBlockRows));
    }
    residual = _mm512_reduce_max_ps(most);
  }
};

// Rows of a block that may pass, by the largest residual of the panel. Where a
// bound lies so near the threshold that the order of rounding matters, either
// answer is right (bounds.hpp).
template <bool kRest, bool kNorm>
[[gnu::always_inline]] inline __mmask16 passing(const std::int32_t* dots,
                                                const Side& side,
                                                std::size_t at,
                                                const OctetQuery& query,
                                                __m512 least) {
  const __m512 dot = _mm512_cvtepi32_ps(_mm512_loadu_si512(dots));
  __m512 upper = _mm512_mul_ps(_mm512_loadu_ps(side.octet_scale + at), dot);
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
  return _mm512_cmp_ps_mask(upper, least, _CMP_GE_OQ);
}

// Writes those of the rows `rows`, 16 bits, that pass by their own residual.
inline Passed* write_passed(std::uint32_t rows, const std::int32_t* dots,
                            const Side& side, std::size_t at,
                            const OctetQuery& query, std::size_t number,
                            Passed* passed) {
  for (; rows != 0; rows &= rows - 1) {
    const auto i = static_cast<std::size_t>(__builtin_ctz(rows));
    *passed = bound_octets(query, side, at + i, dots[i]);
    passed->query = static_cast<std::uint32_t>(number);
    passed += passed->upper >= query.threshold ? 1 : 0;
  }
  return passed;
}

// Writes what passed of a panel for queries from `first` on. Dots of a query
// lie together, `stride` apart.
template <bool kRest, bool kNorm>
[[gnu::noinline]] Passed* keep_octets(const std::int32_t* dots,
                                      std::size_t stride,
                                      const OctetPanel& panel,
                                      const OctetQuery* queries,
                                      std::size_t first, std::size_t count,
                                      Passed* passed) {
  const Side& side = panel.side;
  for (std::size_t q = 0; q < count; ++q) {
    const OctetQuery& query = queries[first + q];
    const std::int32_t* own = dots + q * stride;
    // Rounded once more, which the slack of a bound covers.
    const __m512 least =
        _mm512_set1_ps(query.threshold - panel.residual * query.norm);
    __mmask16 found[4] = {};
    if (panel.blocks == 4) {
#pragma GCC unroll 4
      for (std::size_t b = 0; b < 4; ++b) {
        found[b] = passing<kRest, kNorm>(own + b * kBlockRows, side,
                                         panel.row + b * kBlockRows, query,
                                         least);
      }
    } else {
      for (std::size_t b = 0; b < panel.blocks; ++b) {
        found[b] = passing<kRest, kNorm>(own + b * kBlockRows, side,
                                         panel.row + b * kBlockRows, query,
                                         least);
      }
    }
    const __mmask16 any = _kor_mask16(_kor_mask16(found[0], found[1]),
                                      _kor_mask16(found[2], found[3]));
    if (_kortestz_mask16_u8(any, any)) continue;
    for (std::size_t b = 0; b < panel.blocks; ++b) {
      const std::size_t at = b * kBlockRows;
      passed = write_passed(found[b], own + at, side, panel.row + at, query,
                            first + q, passed);
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
