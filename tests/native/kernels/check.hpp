// Checks that go on after a failure, so that one run tells all of them.
#pragma once

#include <cstdio>

namespace checks {

inline int failures = 0;

inline bool expect(bool holds, const char* file, int line, const char* what) {
  if (holds) return true;
  ++failures;
  if (failures <= 20) std::fprintf(stderr, "%s:%d: %s\n", file, line, what);
  return false;
}

// What a test's main returns.
inline int result() {
  if (failures > 0) std::fprintf(stderr, "%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}

constexpr int kSkipped = 77;

}  // namespace checks

#define EXPECT(holds) checks::expect((holds), __FILE__, __LINE__, #holds)
