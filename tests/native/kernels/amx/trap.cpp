#include "trap.hpp"

#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "amx_support.hpp"
#include "instruction.hpp"

namespace amx_emulation {

namespace {

thread_local TileMachine machine;
std::atomic<unsigned long> count{0};
struct sigaction before;

const char* run(const Instruction& found) {
  switch (found.operation) {
    case Operation::configure: return machine.configure(found.memory);
    case Operation::release: machine.release(); return nullptr;
    case Operation::zero: return machine.zero(found.tile);
    case Operation::load:
      return machine.load(found.tile, found.memory, found.stride);
    case Operation::store:
      return machine.store(found.tile, found.memory, found.stride);
    case Operation::multiply:
      return machine.multiply(found.tile, found.first, found.second,
                              found.signs);
    case Operation::none: break;
  }
  return "not an instruction of AMX";
}

void say(const char* text) {
  // Nothing can be done where it fails; the process dies either way.
  if (write(STDERR_FILENO, text, std::strlen(text)) < 0) return;
}

void handle(int, siginfo_t*, void* context) {
  // ucontext's order to that of the registers' numbers.
  constexpr int order[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX,
                           REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                           REG_R8,  REG_R9,  REG_R10, REG_R11,
                           REG_R12, REG_R13, REG_R14, REG_R15};
  greg_t* saved = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  std::uint64_t registers[16];
  for (int i = 0; i < 16; ++i) {
    registers[i] = static_cast<std::uint64_t>(saved[order[i]]);
  }
  const Instruction found = decode(
      reinterpret_cast<const std::uint8_t*>(saved[REG_RIP]), registers);
  if (const char* reason = run(found)) {
    say("AMX: ");
    say(reason);
    say("\n");
    // The instruction runs again, and whoever was there before sees it.
    sigaction(SIGILL, &before, nullptr);
    return;
  }
  count.fetch_add(1, std::memory_order_relaxed);
  saved[REG_RIP] += static_cast<greg_t>(found.size);
}

}  // namespace

unsigned long emulated() { return count.load(); }

bool holds_tiles() { return machine.configured(); }

}  // namespace amx_emulation

namespace reconciler {

AmxRegisters read_amx_registers() {
  return {1u << 27, 3u << 24, 1024u << 16 | 8192u, 8u << 16 | 64u, 16u,
          3u << 17};
}

bool request_amx_permission() {
  struct sigaction action {};
  action.sa_sigaction = amx_emulation::handle;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  return sigaction(SIGILL, &action, &amx_emulation::before) == 0;
}

}  // namespace reconciler
