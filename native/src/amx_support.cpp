#include "amx_support.hpp"

namespace reconciler {

bool has_amx(const AmxRegisters& registers) {
  constexpr std::uint32_t osxsave = 1u << 27;
  constexpr std::uint32_t tile = 1u << 24, int8 = 1u << 25;
  constexpr std::uint64_t tile_state = std::uint64_t{3} << 17;
  return (registers.leaf1_ecx & osxsave) != 0 &&
         (registers.leaf7_edx & tile) != 0 &&
         (registers.leaf7_edx & int8) != 0 &&
         (registers.xcr0 & tile_state) == tile_state &&
         registers.palette_eax >> 16 == 1024 &&    // bytes of a tile
         (registers.palette_ebx & 0xFFFF) == 64 &&  // bytes of a row
         registers.palette_ebx >> 16 == 8 &&        // tiles
         (registers.palette_ecx & 0xFFFF) == 16;    // rows of a tile
}

bool may_use_amx(const AmxRegisters& registers, bool (*request)()) {
  return has_amx(registers) && request();
}

bool amx_usable() {
  static const bool usable =
      may_use_amx(read_amx_registers(), request_amx_permission);
  return usable;
}

}  // namespace reconciler
