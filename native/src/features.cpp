#include "features.hpp"

namespace reconciler {

namespace {

constexpr std::uint64_t kBasis = 0xCBF29CE484222325u;
constexpr std::uint64_t kPrime = 0x100000001B3u;

// The byte as it is hashed, or 0 if it belongs to no word.
unsigned char folded(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 'A' && byte <= 'Z') return byte + ('a' - 'A');
  const bool word = (byte >= 'a' && byte <= 'z') ||
                    (byte >= '0' && byte <= '9') || byte > 127;
  return word ? byte : 0;
}

std::uint64_t extend(std::uint64_t hash, unsigned char byte) {
  return (hash ^ byte) * kPrime;
}

void add(std::uint64_t hash, std::size_t dim, float* out) {
  hash ^= hash >> 32;
  hash *= 0x9E3779B97F4A7C15u;
  hash ^= hash >> 29;
  hash *= 0xBF58476D1CE4E5B9u;
  out[hash % dim] += (hash >> 63) != 0 ? -1.0f : 1.0f;
}

}  // namespace

void hash_features(const char* text, std::size_t size, std::size_t dim,
                   float* out) {
  std::uint64_t word = kBasis, pair = 0;
  bool in_word = false, has_previous = false;
  for (std::size_t i = 0; i <= size; ++i) {
    const unsigned char byte = i < size ? folded(text[i]) : 0;
    if (byte != 0) {
      word = extend(word, byte);
      pair = extend(pair, byte);
      in_word = true;
    } else if (in_word) {
      add(word, dim, out);
      if (has_previous) add(pair, dim, out);
      pair = extend(word, ' ');
      word = kBasis;
      has_previous = true;
      in_word = false;
    }
  }
}

}  // namespace reconciler
