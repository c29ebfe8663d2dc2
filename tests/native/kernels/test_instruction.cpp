// Machine code as binutils 2.40 assembles and lists it.
#include "instruction.hpp"

#include <vector>

#include "check.hpp"

using amx_emulation::decode;
using amx_emulation::Instruction;
using amx_emulation::Operation;

namespace {

// Register i holds 1000 i.
Instruction decoded(std::vector<std::uint8_t> code) {
  static std::vector<std::uint8_t> kept;
  std::uint64_t registers[16];
  for (std::uint64_t i = 0; i < 16; ++i) registers[i] = 1000 * i;
  kept = code;
  kept.resize(32);
  const Instruction found = decode(kept.data(), registers);
  const bool other = found.operation == Operation::none;
  EXPECT(other || found.size == code.size());
  return found;
}

std::uint64_t at(const std::uint8_t* memory) {
  return reinterpret_cast<std::uint64_t>(memory);
}

void moves() {
  // tileloadd tmm1,[rdi+rsi*1]
  Instruction found = decoded({0xC4, 0xE2, 0x7B, 0x4B, 0x0C, 0x37});
  EXPECT(found.operation == Operation::load && found.tile == 1);
  EXPECT(at(found.memory) == 7000 && found.stride == 6000);
  // tileloaddt1 tmm5,[rdi+rsi*1]
  found = decoded({0xC4, 0xE2, 0x79, 0x4B, 0x2C, 0x37});
  EXPECT(found.operation == Operation::load && found.tile == 5);
  // tilestored [rdx+rsi*1],tmm1
  found = decoded({0xC4, 0xE2, 0x7A, 0x4B, 0x0C, 0x32});
  EXPECT(found.operation == Operation::store && found.tile == 1);
  EXPECT(at(found.memory) == 2000 && found.stride == 6000);
  // tileloadd tmm7,[r13+r12*4-0x10]
  found = decoded({0xC4, 0x82, 0x7B, 0x4B, 0x7C, 0xA5, 0xF0});
  EXPECT(found.operation == Operation::load && found.tile == 7);
  EXPECT(at(found.memory) == 12984 && found.stride == 48000);
  // tileloadd tmm0,[rax+r9*1+0x12345]
  found = decoded(
      {0xC4, 0xA2, 0x7B, 0x4B, 0x84, 0x08, 0x45, 0x23, 0x01, 0x00});
  EXPECT(at(found.memory) == 0x12345 && found.stride == 9000);
  // tileloadd tmm0,[r12], without an index
  found = decoded({0xC4, 0xC2, 0x7B, 0x4B, 0x04, 0x24});
  EXPECT(at(found.memory) == 12000 && found.stride == 0);
}

void configures() {
  // ldtilecfg [rip+0x100]
  static const std::uint8_t code[32] = {0xC4, 0xE2, 0x78, 0x49, 0x05,
                                        0x00, 0x01, 0x00, 0x00};
  const std::uint64_t none[16] = {};
  Instruction found = decode(code, none);
  EXPECT(found.operation == Operation::configure && found.size == 9);
  EXPECT(at(found.memory) == at(code) + 9 + 0x100);
  // ldtilecfg [rsp+0x40]
  found = decoded({0xC4, 0xE2, 0x78, 0x49, 0x44, 0x24, 0x40});
  EXPECT(found.operation == Operation::configure);
  EXPECT(at(found.memory) == 4064);
  // ldtilecfg [rbx]
  found = decoded({0xC4, 0xE2, 0x78, 0x49, 0x03});
  EXPECT(found.operation == Operation::configure);
  EXPECT(at(found.memory) == 3000);
  // tilerelease
  found = decoded({0xC4, 0xE2, 0x78, 0x49, 0xC0});
  EXPECT(found.operation == Operation::release);
  // tilezero tmm3
  found = decoded({0xC4, 0xE2, 0x7B, 0x49, 0xD8});
  EXPECT(found.operation == Operation::zero && found.tile == 3);
}

void multiplies() {
  // tdpbsud tmm1,tmm2,tmm3
  Instruction found = decoded({0xC4, 0xE2, 0x62, 0x5E, 0xCA});
  EXPECT(found.operation == Operation::multiply && found.tile == 1);
  EXPECT(found.first == 2 && found.second == 3);
  EXPECT(found.signs.first && !found.signs.second);
  // tdpbusd tmm1,tmm2,tmm3
  found = decoded({0xC4, 0xE2, 0x61, 0x5E, 0xCA});
  EXPECT(!found.signs.first && found.signs.second);
  // tdpbssd tmm1,tmm2,tmm3
  found = decoded({0xC4, 0xE2, 0x63, 0x5E, 0xCA});
  EXPECT(found.signs.first && found.signs.second);
  // tdpbuud tmm1,tmm2,tmm3
  found = decoded({0xC4, 0xE2, 0x60, 0x5E, 0xCA});
  EXPECT(!found.signs.first && !found.signs.second);
}

void leaves_the_rest() {
  // ud2; vpdpbusd zmm1,zmm2,zmm3; mulx; sttilecfg [rsi]; shlx
  for (const auto& code : std::vector<std::vector<std::uint8_t>>{
           {0x0F, 0x0B},
           {0x62, 0xF2, 0x6D, 0x48, 0x50, 0xCB},
           {0xC4, 0xE2, 0xEB, 0xF6, 0xCB},
           {0xC4, 0xE2, 0x79, 0x49, 0x06},
           {0xC4, 0xE2, 0xE9, 0xF7, 0xC8}}) {
    EXPECT(decoded(code).operation == Operation::none);
  }
}

}  // namespace

int main() {
  moves();
  configures();
  multiplies();
  leaves_the_rest();
  return checks::result();
}
