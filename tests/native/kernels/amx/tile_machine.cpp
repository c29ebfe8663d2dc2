#include "tile_machine.hpp"

#include <algorithm>
#include <cstring>

namespace amx_emulation {

namespace {

constexpr std::size_t kOperandBytes = 64;
constexpr std::size_t kRowBytesAt = 16, kRowsAt = 48;

bool all_zero(const std::uint8_t* begin, const std::uint8_t* end) {
  return std::all_of(begin, end, [](std::uint8_t x) { return x == 0; });
}

std::uint32_t byte(std::uint8_t x, bool has_sign) {
  const auto wide = static_cast<std::uint32_t>(x);
  return has_sign && x >= 128 ? wide - 256 : wide;
}

}  // namespace

const char* TileMachine::configure(const std::uint8_t* operand) {
  const int palette = operand[0], start_row = operand[1];
  if (palette == 0) {
    release();
    return nullptr;
  }
  if (palette != 1) return "LDTILECFG: no such palette";
  if (start_row != 0) return "LDTILECFG: starts in the middle of a tile";
  if (!all_zero(operand + 2, operand + kRowBytesAt) ||
      !all_zero(operand + kRowBytesAt + 2 * kTiles, operand + kRowsAt) ||
      !all_zero(operand + kRowsAt + kTiles, operand + kOperandBytes)) {
    return "LDTILECFG: reserved bytes are not zero";
  }
  Tile tiles[kTiles];
  for (int t = 0; t < kTiles; ++t) {
    const int row_bytes = operand[kRowBytesAt + 2 * t] |
                          operand[kRowBytesAt + 2 * t + 1] << 8;
    const int rows = operand[kRowsAt + t];
    if (row_bytes > kRowBytes || rows > kRows) {
      return "LDTILECFG: a tile is too large";
    }
    if ((row_bytes == 0) != (rows == 0)) {
      return "LDTILECFG: a tile has rows or bytes, but not both";
    }
    tiles[t].rows = rows;
    tiles[t].row_bytes = row_bytes;
  }
  std::copy(tiles, tiles + kTiles, tiles_);
  configured_ = true;
  return nullptr;
}

void TileMachine::release() {
  std::fill(tiles_, tiles_ + kTiles, Tile{});
  configured_ = false;
}

const char* TileMachine::unusable(int tile) const {
  if (!configured_) return "no tiles are configured";
  if (tile < 0 || tile >= kTiles) return "no such tile";
  if (tiles_[tile].rows == 0) return "the tile is not configured";
  return nullptr;
}

const char* TileMachine::zero(int tile) {
  if (const char* reason = unusable(tile)) return reason;
  std::memset(tiles_[tile].data, 0, sizeof tiles_[tile].data);
  return nullptr;
}

const char* TileMachine::load(int tile, const std::uint8_t* memory,
                              std::ptrdiff_t stride) {
  if (const char* reason = unusable(tile)) return reason;
  Tile& t = tiles_[tile];
  std::memset(t.data, 0, sizeof t.data);
  for (int row = 0; row < t.rows; ++row) {
    std::memcpy(t.data[row], memory + row * stride,
                static_cast<std::size_t>(t.row_bytes));
  }
  return nullptr;
}

const char* TileMachine::store(int tile, std::uint8_t* memory,
                               std::ptrdiff_t stride) const {
  if (const char* reason = unusable(tile)) return reason;
  const Tile& t = tiles_[tile];
  for (int row = 0; row < t.rows; ++row) {
    std::memcpy(memory + row * stride, t.data[row],
                static_cast<std::size_t>(t.row_bytes));
  }
  return nullptr;
}

const char* TileMachine::multiply(int sums, int first, int second,
                                  Signs signs) {
  for (int tile : {sums, first, second}) {
    if (const char* reason = unusable(tile)) return reason;
  }
  if (sums == first || sums == second || first == second) {
    return "a product with the same tile twice";
  }
  Tile& c = tiles_[sums];
  const Tile &a = tiles_[first], &b = tiles_[second];
  if (c.row_bytes % 4 != 0 || a.row_bytes % 4 != 0) {
    return "a product of tiles that are not of whole words";
  }
  if (c.rows != a.rows || c.row_bytes != b.row_bytes ||
      a.row_bytes / 4 != b.rows) {
    return "a product of tiles that do not fit";
  }
  for (int m = 0; m < c.rows; ++m) {
    std::uint32_t row[kRows];  // sums wrap
    std::memcpy(row, c.data[m], sizeof row);
    for (int k = 0; k < b.rows; ++k) {
      for (int n = 0; n < c.row_bytes / 4; ++n) {
        for (int j = 0; j < 4; ++j) {
          row[n] += byte(a.data[m][4 * k + j], signs.first) *
                    byte(b.data[k][4 * n + j], signs.second);
        }
      }
    }
    std::memset(c.data[m], 0, sizeof c.data[m]);
    std::memcpy(c.data[m], row, static_cast<std::size_t>(c.row_bytes));
  }
  for (int m = c.rows; m < kRows; ++m) {
    std::memset(c.data[m], 0, sizeof c.data[m]);
  }
  return nullptr;
}

}  // namespace amx_emulation
