// The tiles of AMX in plain C++, after the pseudocode of the instructions in
// Intel's Software Developer's Manual, volume 2.
#pragma once

#include <cstddef>
#include <cstdint>

namespace amx_emulation {

constexpr int kTiles = 8;
constexpr int kRows = 16;
constexpr int kRowBytes = 64;

// Whether the bytes of the first and of the second factor have a sign.
struct Signs {
  bool first, second;
};

// The tiles of one thread. Each instruction returns nullptr, or why a
// processor would raise an exception; nothing has changed then.
class TileMachine {
 public:
  // LDTILECFG: the operand has 64 bytes.
  const char* configure(const std::uint8_t* operand);
  // TILERELEASE
  void release();
  const char* zero(int tile);
  // TILELOADD: one row every `stride` bytes.
  const char* load(int tile, const std::uint8_t* memory,
                   std::ptrdiff_t stride);
  // TILESTORED
  const char* store(int tile, std::uint8_t* memory,
                    std::ptrdiff_t stride) const;
  // TDPBSSD, TDPBSUD, TDPBUSD, TDPBUUD
  const char* multiply(int sums, int first, int second, Signs signs);

  bool configured() const { return configured_; }

 private:
  struct Tile {
    int rows = 0, row_bytes = 0;
    std::uint8_t data[kRows][kRowBytes] = {};
  };

  const char* unusable(int tile) const;

  Tile tiles_[kTiles];
  bool configured_ = false;
};

}  // namespace amx_emulation
