// Chooses the kernels once, by what the processor can run.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels.hpp"
#if defined(RECONCILER_X86)
#include "amx_support.hpp"
#endif

namespace reconciler {

extern const Kernels kPortable;
#if defined(RECONCILER_X86)
extern const Kernels kAvx2;
extern const Kernels kAvx512;
extern const Kernels kAvx512Vnni;
extern const Kernels kAmx;
#elif defined(RECONCILER_ARM)
extern const Kernels kNeon;
#endif

std::vector<const Kernels*> supported_kernels() {
  std::vector<const Kernels*> found = {&kPortable};
#if defined(RECONCILER_X86)
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2) found.push_back(&kAvx2);
  const bool avx512 =
      avx2 && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (avx512) found.push_back(&kAvx512);
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  if (vnni) found.push_back(&kAvx512Vnni);
  if (vnni && amx_usable()) found.push_back(&kAmx);
#elif defined(RECONCILER_ARM)
  found.push_back(&kNeon);
#endif
  return found;
}

namespace {

std::atomic<const Kernels*> chosen{nullptr};

const Kernels* find(const char* name) {
  for (const Kernels* level : supported_kernels()) {
    if (std::strcmp(level->name, name) == 0) return level;
  }
  return nullptr;
}

}  // namespace

const Kernels& kernels() {
  if (const Kernels* level = chosen.load()) return *level;
  const Kernels* level = supported_kernels().back();
  const char* name = std::getenv("RECONCILER_ISA");
  if (name != nullptr && *name != '\0') {
    level = find(name);
    if (level == nullptr) {
      throw std::runtime_error("RECONCILER_ISA=" + std::string(name) +
                               ": this processor or build has no such level");
    }
  }
  chosen.store(level);
  return *level;
}

void use_kernels(const char* name) {
  const Kernels* level = find(name);
  if (level == nullptr) {
    throw std::invalid_argument("this processor or build has no level " +
                                std::string(name));
  }
  chosen.store(level);
}

}  // namespace reconciler
