#include "verdicts.hpp"

#include <string_view>

namespace reconciler {
namespace {

constexpr std::uint16_t kValues = 128;
constexpr int kBestRating = 100;
constexpr std::size_t kLongestRating = 3;

bool is_space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::uint16_t thumbs(std::string_view value) noexcept {
  if (value == "true") return 1;
  if (value == "false") return 0;
  return kUnsure;
}

std::uint16_t rating(std::string_view value) noexcept {
  if (value.empty() || value.size() > kLongestRating || value.front() == '0') {
    return kUnsure;
  }
  int number = 0;
  for (char c : value) {
    if (c < '0' || c > '9') return kUnsure;
    number = 10 * number + (c - '0');
  }
  if (number > kBestRating) return kUnsure;
  return static_cast<std::uint16_t>(number);
}

std::uint16_t comparison(std::string_view value) noexcept {
  if (value == "\"a\"") return 0;
  if (value == "\"b\"") return 1;
  if (value == "\"tie\"") return 2;
  return kUnsure;
}

// A text that is not empty and has nothing to unescape.
std::uint16_t correction(std::string_view value) noexcept {
  if (value.size() < 3 || value.front() != '"' || value.back() != '"') {
    return kUnsure;
  }
  value.remove_prefix(1);
  value.remove_suffix(1);
  for (char c : value) {
    if (c == '"' || c == '\\' || static_cast<unsigned char>(c) < ' ') {
      return kUnsure;
    }
  }
  return 0;
}

std::uint16_t placed(int place, std::uint16_t value) noexcept {
  if (value == kUnsure) return kUnsure;
  return static_cast<std::uint16_t>(place * kValues + value);
}

}  // namespace

std::uint16_t verdict_code(const char* kind, std::size_t kind_size,
                           const char* value,
                           std::size_t value_size) noexcept {
  const std::string_view name(kind, kind_size);
  const std::string_view text = trimmed({value, value_size});
  if (name == "thumbs") return placed(0, thumbs(text));
  if (name == "rating") return placed(1, rating(text));
  if (name == "comparison") return placed(2, comparison(text));
  if (name == "correction") return placed(3, correction(text));
  return kUnsure;
}

}  // namespace reconciler
