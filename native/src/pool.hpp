// A few threads that help whoever calls.
//
// The caller works on every task that no thread has picked up yet, so a call
// never waits for a thread that has not started: on a busy machine a pool is
// not slower than one thread. A forked child has none of its parent's
// threads and may inherit a locked mutex: the child leaves the parent's state
// alone and starts its own threads on first use.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <vector>

namespace reconciler {

class Pool {
 public:
  // `threads` counts the caller: 1 starts none. Threads run on `cpus` (empty:
  // wherever the system puts them).
  Pool(std::size_t threads, std::vector<int> cpus);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  std::size_t threads() const { return threads_; }

  // Runs work(0) ... work(count - 1), in any order, on any thread; returns
  // when all are done. Rethrows the first exception. Reentrant: several
  // callers may run at once.
  void run(std::size_t count, const std::function<void(std::size_t)>& work);

 private:
  struct State;
  State& state();

  std::size_t threads_;
  std::vector<int> cpus_;
  std::atomic<State*> state_{nullptr};
};

}  // namespace reconciler
