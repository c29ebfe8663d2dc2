// The best hits so far, in the total order (key descending, id ascending).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace reconciler {

// A row and how good it is: the canonical score, or minus the canonical
// squared distance.
struct Hit {
  double key;
  std::int64_t id;
};

inline bool better(const Hit& a, const Hit& b) {
  return a.key != b.key ? a.key > b.key : a.id < b.id;
}

// Keeps the k best, or everything that reaches a key.
class Best {
 public:
  static Best top(std::size_t k) { return Best(k, false, 0.0); }
  static Best reaching(double key) { return Best(0, true, key); }

  // No hit with a smaller key can enter any more.
  double floor() const {
    if (range_) return least_;
    if (hits_.size() < k_) return -std::numeric_limits<double>::infinity();
    return hits_.front().key;
  }

  // Whether a first few good hits would raise the floor.
  bool wants_seed() const { return !range_; }
  std::size_t k() const { return k_; }

  void push(const Hit& hit) {
    if (range_) {
      if (hit.key >= least_) hits_.push_back(hit);
      return;
    }
    if (hits_.size() < k_) {
      hits_.push_back(hit);
      std::push_heap(hits_.begin(), hits_.end(), better);
    } else if (k_ > 0 && better(hit, hits_.front())) {
      std::pop_heap(hits_.begin(), hits_.end(), better);
      hits_.back() = hit;
      std::push_heap(hits_.begin(), hits_.end(), better);
    }
  }

  void merge(const Best& other) {
    for (const Hit& hit : other.hits_) push(hit);
  }

  // Best first; the object is empty afterwards.
  std::vector<Hit> take() {
    std::sort(hits_.begin(), hits_.end(), better);
    return std::move(hits_);
  }

 private:
  Best(std::size_t k, bool range, double least)
      : k_(k), range_(range), least_(least) {}

  std::size_t k_;
  bool range_;
  double least_;
  std::vector<Hit> hits_;  // a heap with the worst in front, unless range_
};

}  // namespace reconciler
