// What this machine says of AMX.
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "amx_support.hpp"

namespace reconciler {

namespace {

struct Leaf {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;

  Leaf(std::uint32_t leaf, std::uint32_t subleaf) {
    // Leaves all zero where the processor has no such leaf.
    __get_cpuid_count(leaf, subleaf, &eax, &ebx, &ecx, &edx);
  }
};

std::uint64_t read_xcr0() {
  std::uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return std::uint64_t{high} << 32 | low;
}

}  // namespace

AmxRegisters read_amx_registers() {
  const Leaf features(1, 0), extended(7, 0), palette(0x1D, 1);
  const bool osxsave = (features.ecx >> 27 & 1) != 0;
  return {features.ecx, extended.edx, palette.eax,
          palette.ebx,  palette.ecx,  osxsave ? read_xcr0() : 0};
}

// Linux gives the state of the tiles only to processes that ask (since 5.16;
// Documentation/arch/x86/xstate.rst). It refuses where a thread's signal stack
// has no room for it.
bool request_amx_permission() {
#if defined(__linux__)
  constexpr long request = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM
  return syscall(SYS_arch_prctl, request, tile_data) == 0;
#else
  return false;
#endif
}

}  // namespace reconciler
