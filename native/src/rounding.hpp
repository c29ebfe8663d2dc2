// Conversions from double that err on a known side.
#pragma once

#include <cmath>
#include <limits>

namespace reconciler {

// The nearest float, with overflow to the largest finite one.
inline float saturate(double value) {
  constexpr double largest = std::numeric_limits<float>::max();
  if (value > largest) return std::numeric_limits<float>::max();
  if (value < -largest) return -std::numeric_limits<float>::max();
  return static_cast<float>(value);
}

// The smallest float that is not below a value (inside float's range).
inline float round_up(double value) {
  const float near = saturate(value);
  if (static_cast<double>(near) >= value) return near;
  return std::nextafter(near, std::numeric_limits<float>::infinity());
}

// The largest float that is not above a value; minus infinity below range.
inline float round_down(double value) {
  const float near = saturate(value);
  if (static_cast<double>(near) <= value) return near;
  return std::nextafter(near, -std::numeric_limits<float>::infinity());
}

}  // namespace reconciler
