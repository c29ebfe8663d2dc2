#include "instruction.hpp"

#include <cstring>

namespace amx_emulation {

namespace {

// pp of the VEX prefix.
enum Prefix { kNone = 0, k66 = 1, kF3 = 2, kF2 = 3 };

std::int64_t displacement(const std::uint8_t* at, int size) {
  if (size == 1) return static_cast<std::int8_t>(*at);
  std::int32_t wide = 0;
  if (size == 4) std::memcpy(&wide, at, 4);
  return wide;
}

// A memory operand, from its ModRM byte on.
struct Address {
  std::uint64_t base = 0, index = 0;
  std::size_t size = 1;  // bytes of code, ModRM included
  bool has_sib = false;

  // `more_base` and `more_index` are the VEX bits that extend the numbers.
  Address(const std::uint8_t* code, int more_base, int more_index,
          const std::uint64_t* registers) {
    const int mod = code[0] >> 6, rm = code[0] & 7;
    int number = rm | more_base << 3;
    bool has_base = true;
    has_sib = rm == 4;
    if (has_sib) {
      const int sib = code[1];
      const int scaled = (sib >> 3 & 7) | more_index << 3;
      if (scaled != 4) index = registers[scaled] << (sib >> 6);
      number = (sib & 7) | more_base << 3;
      has_base = mod != 0 || (sib & 7) != 5;
      size = 2;
    }
    const bool from_here = mod == 0 && rm == 5;
    const int bytes = mod == 1                               ? 1
                      : mod == 2 || from_here || !has_base ? 4
                                                             : 0;
    base = static_cast<std::uint64_t>(displacement(code + size, bytes));
    size += static_cast<std::size_t>(bytes);
    if (from_here) {
      base += reinterpret_cast<std::uint64_t>(code + size);
    } else if (has_base) {
      base += registers[number];
    }
  }
};

}  // namespace

Instruction decode(const std::uint8_t* code, const std::uint64_t* registers) {
  Instruction found;
  // Three-byte VEX, map 0F38, W = 0, L = 0. R, X, B and vvvv are inverted.
  if (code[0] != 0xC4 || (code[1] & 31) != 2 || (code[2] & 0x84) != 0) {
    return found;
  }
  const int more_reg = (code[1] >> 7 & 1) ^ 1;
  const int more_index = (code[1] >> 6 & 1) ^ 1;
  const int more_base = (code[1] >> 5 & 1) ^ 1;
  const int vvvv = (code[2] >> 3 & 15) ^ 15;
  const int prefix = code[2] & 3;
  const std::uint8_t* modrm = code + 4;
  const int mod = modrm[0] >> 6, rm = modrm[0] & 7;
  const int reg = (modrm[0] >> 3 & 7) | more_reg << 3;
  constexpr std::size_t before = 4;  // bytes before ModRM
  found.tile = reg;
  if (code[3] == 0x5E && mod == 3) {
    found.operation = Operation::multiply;
    found.size = before + 1;
    found.first = rm | more_base << 3;
    found.second = vvvv;
    found.signs = {prefix == kF3 || prefix == kF2,
                   prefix == k66 || prefix == kF2};
    return found;
  }
  if (vvvv != 0) return found;
  if (code[3] == 0x49 && mod == 3) {
    found.size = before + 1;
    if (prefix == kF2 && rm == 0) found.operation = Operation::zero;
    if (prefix == kNone && modrm[0] == 0xC0) {
      found.operation = Operation::release;
    }
    return found;
  }
  const bool configures = code[3] == 0x49 && prefix == kNone && reg == 0;
  const bool moves = code[3] == 0x4B && prefix != kNone;
  if (mod == 3 || (!configures && !moves)) return found;
  const Address address(modrm, more_base, more_index, registers);
  if (moves && !address.has_sib) return found;
  found.size = before + address.size;
  if (configures) {
    found.operation = Operation::configure;
    found.memory =
        reinterpret_cast<std::uint8_t*>(address.base + address.index);
    return found;
  }
  // F2 and 66 (a hint about caches) load, F3 stores.
  found.operation = prefix == kF3 ? Operation::store : Operation::load;
  found.memory = reinterpret_cast<std::uint8_t*>(address.base);
  found.stride = static_cast<std::ptrdiff_t>(address.index);
  return found;
}

}  // namespace amx_emulation
