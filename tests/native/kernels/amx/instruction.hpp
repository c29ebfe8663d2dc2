// The machine code of AMX (Intel SDM, volume 2; AMX-TILE and AMX-INT8).
#pragma once

#include <cstddef>
#include <cstdint>

#include "tile_machine.hpp"

namespace amx_emulation {

enum class Operation { none, configure, release, zero, load, store, multiply };

struct Instruction {
  Operation operation = Operation::none;
  std::size_t size = 0;  // bytes of code
  int tile = 0;          // the destination, or what is stored
  int first = 0, second = 0;
  Signs signs{};
  std::uint8_t* memory = nullptr;
  std::ptrdiff_t stride = 0;
};

// The instruction at `code`, whose general registers hold `registers` (in the
// order of their numbers: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 ...).
// Operation::none: it is not of AMX.
Instruction decode(const std::uint8_t* code, const std::uint64_t* registers);

}  // namespace amx_emulation
