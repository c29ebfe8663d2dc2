// Whether the tiles of AMX may be used: the processor has them, the system
// keeps them across context switches, and this process has its permission.
#pragma once

#include <cstdint>

namespace reconciler {

// What decides: registers as CPUID and XGETBV leave them (Intel SDM volume 1,
// chapter 18; volume 2, CPUID), zero where there is no such leaf.
struct AmxRegisters {
  std::uint32_t leaf1_ecx;
  std::uint32_t leaf7_edx;
  // Leaf 1DH, subleaf 1: the sizes of palette 1.
  std::uint32_t palette_eax, palette_ebx, palette_ecx;
  std::uint64_t xcr0;  // read only where leaf 1 reports OSXSAVE
};

// Whether there are eight tiles of 16 rows of 64 bytes that multiply bytes,
// and the system saves them.
bool has_amx(const AmxRegisters& registers);

// has_amx, and then, but only then, what `request` answers.
bool may_use_amx(const AmxRegisters& registers, bool (*request)());

// Of this machine; see amx_machine.cpp.
AmxRegisters read_amx_registers();
// Asks the system for the tiles' state. The permission is of the process: all
// its threads, and children that it forks, inherit it.
bool request_amx_permission();

// Whether this process may use AMX. Asks once.
bool amx_usable();

}  // namespace reconciler
