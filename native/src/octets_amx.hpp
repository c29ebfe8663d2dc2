// Many queries meet the octets of many rows, on the tiles of AMX.
#pragma once

#include "octets_vnni.hpp"
#include "tiles.hpp"

namespace reconciler {
namespace {

// As sieve_octets, which does it where the dimensions do not fill a tile.
std::size_t sieve_octets_on_tiles(const std::uint8_t* octets,
                                  std::size_t groups, std::size_t blocks,
                                  const Side& side, const OctetQuery* queries,
                                  std::size_t count, Passed* passed) {
  if (groups * kOctetDims < kTileDims) {
    return sieve_octets(octets, groups, blocks, side, queries, count, passed);
  }
  return sieve_kind(side, passed, [&](auto rest, auto norm) {
    Passed* end = passed;
    multiply_panels(octets, groups, blocks, queries, count,
                    [&](std::size_t first, std::size_t some, std::size_t row,
                        std::size_t wide, const std::int32_t* dots) {
                      const OctetPanel panel(side, row, wide);
                      end = keep_octets<rest, norm>(dots, kPanelRows, panel,
                                                    queries, first, some, end);
                    });
    return end;
  });
}

}  // namespace
}  // namespace reconciler
