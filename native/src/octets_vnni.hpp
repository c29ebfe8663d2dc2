// Many queries meet the octets of many rows, with AVX-512 VNNI.
#pragma once

#include <immintrin.h>

#include "octets_avx512.hpp"

namespace reconciler {
namespace {

constexpr std::size_t kTileBlocks = 4;

// A matrix product of blocks and queries in registers: every load of a row or
// a query serves several products, which only arithmetic limits.
template <std::size_t kQueries, std::size_t kBlocks>
void octet_tile(const std::uint8_t* block, std::size_t groups,
                const OctetQuery* queries, std::int32_t* dots) {
  const std::size_t bytes = groups * kGroupBytes;
  const std::int8_t* codes[kQueries];
  // Unrolled, or the compiler would write the sums to memory at each step.
  __m512i sums[kQueries][kBlocks];
#pragma GCC unroll 8
  for (std::size_t q = 0; q < kQueries; ++q) {
    codes[q] = queries[q].code;
    const __m512i half = _mm512_set1_epi32(queries[q].half);
#pragma GCC unroll 8
    for (auto& sum : sums[q]) sum = half;
  }
  for (std::size_t g = 0; g < groups; ++g) {
    __m512i rows[kBlocks];
#pragma GCC unroll 8
    for (std::size_t b = 0; b < kBlocks; ++b) {
      rows[b] = _mm512_loadu_si512(block + b * bytes + g * kGroupBytes);
    }
#pragma GCC unroll 8
    for (std::size_t q = 0; q < kQueries; ++q) {
      std::int32_t four;
      std::memcpy(&four, codes[q] + g * kOctetDims, sizeof four);
      const __m512i a = _mm512_set1_epi32(four);
#pragma GCC unroll 8
      for (std::size_t b = 0; b < kBlocks; ++b) {
        sums[q][b] = _mm512_dpbusd_epi32(sums[q][b], rows[b], a);
      }
    }
  }
#pragma GCC unroll 8
  for (std::size_t q = 0; q < kQueries; ++q) {
#pragma GCC unroll 8
    for (std::size_t b = 0; b < kBlocks; ++b) {
      _mm512_store_si512(dots + (q * kBlocks + b) * kBlockRows, sums[q][b]);
    }
  }
}

// Some blocks, which stay in the nearest cache, meet all queries.
template <bool kRest, bool kNorm, std::size_t kBlocks>
Passed* meet_all(const std::uint8_t* block, std::size_t groups,
                 const Side& side, std::size_t row, const OctetQuery* queries,
                 std::size_t count, Passed* passed) {
  constexpr std::size_t most = 6, stride = kBlocks * kBlockRows;
  alignas(64) std::int32_t dots[most * stride];
  const OctetPanel panel(side, row, kBlocks);
  for (std::size_t q = 0; q < count;) {
    const std::size_t some = count - q >= most ? most : count - q >= 2 ? 2 : 1;
    if (some == most) {
      octet_tile<most, kBlocks>(block, groups, queries + q, dots);
    } else if (some == 2) {
      octet_tile<2, kBlocks>(block, groups, queries + q, dots);
    } else {
      octet_tile<1, kBlocks>(block, groups, queries + q, dots);
    }
    passed = keep_octets<kRest, kNorm>(dots, stride, panel, queries, q, some,
                                       passed);
    q += some;
  }
  return passed;
}

template <bool kRest, bool kNorm>
Passed* sieve_blocks_of(const std::uint8_t* octets, std::size_t groups,
                        std::size_t blocks, const Side& side,
                        const OctetQuery* queries, std::size_t count,
                        Passed* passed) {
  const std::size_t bytes = groups * kGroupBytes;
  std::size_t b = 0;
  for (; b + kTileBlocks <= blocks; b += kTileBlocks) {
    passed = meet_all<kRest, kNorm, kTileBlocks>(octets + b * bytes, groups,
                                                 side, b * kBlockRows, queries,
                                                 count, passed);
  }
  for (; b < blocks; ++b) {
    passed = meet_all<kRest, kNorm, 1>(octets + b * bytes, groups, side,
                                       b * kBlockRows, queries, count, passed);
  }
  return passed;
}

std::size_t sieve_octets(const std::uint8_t* octets, std::size_t groups,
                         std::size_t blocks, const Side& side,
                         const OctetQuery* queries, std::size_t count,
                         Passed* passed) {
  return sieve_kind(side, passed, [&](auto rest, auto norm) {
    return sieve_blocks_of<rest, norm>(octets, groups, blocks, side, queries,
                                       count, passed);
  });
}

}  // namespace
}  // namespace reconciler
