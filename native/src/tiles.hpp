// Products of bytes by the tiles of AMX, for the including file's instruction
// set.
//
// 16 queries are a tile A of 16 rows with 64 dimensions each. A block of the
// plane of bytes holds, in each 16 groups, a tile B: row g has dimensions 4g
// to 4g + 3 of 16 database rows. A B adds to a tile C of 16 queries x 16 rows.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "kernels.hpp"

namespace reconciler {
namespace {

constexpr std::size_t kTileQueries = 16;
constexpr std::size_t kTileDims = 64;
constexpr std::size_t kTileBytes = kTileQueries * kTileDims;
// Two tiles A by two tiles B, so that each tile that is read serves twice.
constexpr std::size_t kPanelQueries = 2 * kTileQueries;
// Blocks that stay in the nearest cache while they meet all queries.
constexpr std::size_t kPanelBlocks = 4;
constexpr std::size_t kPanelRows = kPanelBlocks * kBlockRows;

// The operand of LDTILECFG: all eight tiles have 16 rows of 64 bytes.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileShapes) == 64);
constexpr TileShapes kTileShapes;

// The tiles of this thread while it lives. Releasing them spares the system to
// save them when threads change, and the processor its power.
class TileUse {
 public:
  TileUse() { _tile_loadconfig(&kTileShapes); }
  ~TileUse() { _tile_release(); }
  TileUse(const TileUse&) = delete;
  TileUse& operator=(const TileUse&) = delete;
};

// GCC's tile loads do not say that they read memory: without this, stores
// before them could move behind them.
inline void finish_stores() { __asm__ volatile("" ::: "memory"); }

// Sixteen queries a tile A, 64 dimensions of theirs in each step, and a tile C
// that their sums start from. Rows that fill up the last tile are zero.
//
// Where the dimensions are not a multiple of 64, the last step takes the last
// 64, and those that the step before took are zero here: so no tile B reaches
// beyond its block.
class PackedQueries {
 public:
  // Needs at least kTileDims dimensions, a multiple of 32. Throws
  // std::bad_alloc.
  PackedQueries(std::size_t dims, const OctetQuery* queries, std::size_t count)
      : steps_((dims + kTileDims - 1) / kTileDims),
        last_((dims - kTileDims) * kBlockRows),
        bytes_((steps_ + 1) * kTileBytes) {
    const std::size_t groups = (count + kTileQueries - 1) / kTileQueries;
    tiles_ = static_cast<std::uint8_t*>(
        ::operator new(groups * bytes_, std::align_val_t{kTileDims}));
    std::memset(tiles_, 0, groups * bytes_);
    for (std::size_t q = 0; q < count; ++q) {
      pack(queries[q], dims,
           tiles_ + q / kTileQueries * bytes_ + q % kTileQueries * kTileDims);
    }
    finish_stores();
  }
  ~PackedQueries() {
    ::operator delete(tiles_, std::align_val_t{kTileDims});
  }
  PackedQueries(const PackedQueries&) = delete;
  PackedQueries& operator=(const PackedQueries&) = delete;

  std::size_t steps() const { return steps_; }
  // Of the 16 queries from `first` on, a multiple of 16.
  const std::uint8_t* start(std::size_t first) const {
    return tiles_ + first / kTileQueries * bytes_;
  }
  const std::uint8_t* tile(std::size_t first, std::size_t step) const {
    return start(first) + (step + 1) * kTileBytes;
  }
  // Where a step's tile B begins in its block.
  std::size_t offset(std::size_t step) const {
    const std::size_t at = step * kTileBytes;
    return at < last_ ? at : last_;
  }

 private:
  // `row` is the query's in the first of its tiles.
  static void pack(const OctetQuery& query, std::size_t dims,
                   std::uint8_t* row) {
    for (std::size_t i = 0; i < kBlockRows; ++i) {
      std::memcpy(row + 4 * i, &query.half, 4);
    }
    row += kTileBytes;
    std::size_t done = 0;
    for (; done + kTileDims <= dims; done += kTileDims) {
      std::memcpy(row, query.code + done, kTileDims);
      row += kTileBytes;
    }
    const std::size_t left = dims - done;
    if (left > 0) {
      std::memcpy(row + (kTileDims - left), query.code + done, left);
    }
  }

  std::size_t steps_, last_, bytes_;
  std::uint8_t* tiles_;
};

// dots[q * kPanelRows + row] of 16 or 32 queries from `first` on with one or
// two blocks that lie `distance` bytes apart.
template <bool kMoreQueries, bool kMoreBlocks>
void tile_product(const PackedQueries& queries, std::size_t first,
                  const std::uint8_t* block, std::size_t distance,
                  std::int32_t* dots) {
  const std::uint8_t* start = queries.start(first);
  const std::uint8_t* more_start = queries.start(first + kTileQueries);
  _tile_loadd(0, start, kTileDims);
  if constexpr (kMoreBlocks) _tile_loadd(1, start, kTileDims);
  if constexpr (kMoreQueries) _tile_loadd(2, more_start, kTileDims);
  if constexpr (kMoreQueries && kMoreBlocks) {
    _tile_loadd(3, more_start, kTileDims);
  }
  for (std::size_t step = 0; step < queries.steps(); ++step) {
    const std::uint8_t* codes = block + queries.offset(step);
    _tile_loadd(4, queries.tile(first, step), kTileDims);
    _tile_loadd(6, codes, kGroupBytes);
    _tile_dpbsud(0, 4, 6);
    if constexpr (kMoreBlocks) {
      _tile_loadd(7, codes + distance, kGroupBytes);
      _tile_dpbsud(1, 4, 7);
    }
    if constexpr (kMoreQueries) {
      _tile_loadd(5, queries.tile(first + kTileQueries, step), kTileDims);
      _tile_dpbsud(2, 5, 6);
      if constexpr (kMoreBlocks) _tile_dpbsud(3, 5, 7);
    }
  }
  constexpr std::size_t stride = kPanelRows * sizeof(std::int32_t);
  std::int32_t* more = dots + kTileQueries * kPanelRows;
  _tile_stored(0, dots, stride);
  if constexpr (kMoreBlocks) _tile_stored(1, dots + kBlockRows, stride);
  if constexpr (kMoreQueries) _tile_stored(2, more, stride);
  if constexpr (kMoreQueries && kMoreBlocks) {
    _tile_stored(3, more + kBlockRows, stride);
  }
}

// The same for all blocks of a panel.
template <bool kMoreQueries>
void tile_panel(const PackedQueries& queries, std::size_t first,
                const std::uint8_t* block, std::size_t distance,
                std::size_t blocks, std::int32_t* dots) {
  std::size_t b = 0;
  for (; b + 2 <= blocks; b += 2) {
    tile_product<kMoreQueries, true>(queries, first, block + b * distance,
                                     distance, dots + b * kBlockRows);
  }
  if (b < blocks) {
    tile_product<kMoreQueries, false>(queries, first, block + b * distance,
                                      distance, dots + b * kBlockRows);
  }
}

inline void prefetch_lines(const std::uint8_t* begin,
                           const std::uint8_t* end) {
  for (; begin < end; begin += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(begin), _MM_HINT_T1);
  }
}

// Calls keep(first, some, row, blocks, dots) for panels of at most 32 queries
// and four blocks: with the dots, `half` included, of `some` queries from
// `first` on, kPanelRows apart, with the rows from `row` on of that many
// blocks. The rows that a query meets rise. Products and what `keep` does with
// them take turns: a branch that it mispredicts would empty the pipeline of
// the tiles.
template <typename Keep>
void multiply_panels(const std::uint8_t* octets, std::size_t groups,
                     std::size_t blocks, const OctetQuery* queries,
                     std::size_t count, const Keep& keep) {
  if (count == 0) return;
  alignas(64) std::int32_t dots[kPanelQueries * kPanelRows];
  const PackedQueries packed(groups * kOctetDims, queries, count);
  const TileUse use;
  const std::size_t distance = groups * kGroupBytes;
  const std::size_t panel = kPanelBlocks * distance;
  for (std::size_t b = 0; b < blocks; b += kPanelBlocks) {
    const std::size_t wide =
        blocks - b < kPanelBlocks ? blocks - b : kPanelBlocks;
    const std::uint8_t* block = octets + b * distance;
    const std::uint8_t* next = block + panel;
    for (std::size_t q = 0; q < count; q += kPanelQueries) {
      const std::size_t end =
          count - q < kPanelQueries ? count : q + kPanelQueries;
      prefetch_lines(next + panel * q / count, next + panel * end / count);
      if (end - q > kTileQueries) {
        tile_panel<true>(packed, q, block, distance, wide, dots);
      } else {
        tile_panel<false>(packed, q, block, distance, wide, dots);
      }
      keep(q, end - q, b * kBlockRows, wide, dots);
    }
  }
}

}  // namespace
}  // namespace reconciler
