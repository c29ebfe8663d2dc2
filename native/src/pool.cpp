#include "pool.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include <unistd.h>
#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace reconciler {

namespace {

struct Job {
  const std::function<void(std::size_t)>* work;
  std::size_t count;
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::condition_variable finished;
  std::size_t done = 0;      // guarded by mutex
  std::exception_ptr error;  // guarded by mutex

  // Works until no task is left.
  void help() {
    for (;;) {
      const std::size_t task = next.fetch_add(1);
      if (task >= count) return;
      std::exception_ptr failure;
      try {
        (*work)(task);
      } catch (...) {  // carried to the caller, whatever it is
        failure = std::current_exception();
      }
      const std::lock_guard<std::mutex> lock(mutex);
      if (failure && !error) error = failure;
      if (++done == count) finished.notify_all();
    }
  }
};

}  // namespace

struct Pool::State {
  explicit State(pid_t owner_) : owner(owner_) {}

  void serve() {
    for (;;) {
      std::shared_ptr<Job> job;
      {
        std::unique_lock<std::mutex> lock(mutex);
        wanted.wait(lock, [this] { return stopping || !jobs.empty(); });
        if (stopping) return;
        job = jobs.front();
        jobs.pop_front();
      }
      job->help();
    }
  }

  const pid_t owner;
  std::mutex mutex;
  std::condition_variable wanted;
  std::deque<std::shared_ptr<Job>> jobs;
  std::vector<std::thread> workers;
  bool stopping = false;
};

Pool::Pool(std::size_t threads, std::vector<int> cpus)
    : threads_(threads == 0 ? 1 : threads), cpus_(std::move(cpus)) {}

Pool::~Pool() {
  State* state = state_.load();
  // A child must not join its parent's threads: it has none of them.
  if (state == nullptr || state->owner != getpid()) return;
  {
    const std::lock_guard<std::mutex> lock(state->mutex);
    state->stopping = true;
  }
  state->wanted.notify_all();
  for (std::thread& worker : state->workers) worker.join();
  delete state;
}

namespace {

void restrict_to(std::thread& thread, const std::vector<int>& cpus) {
#if defined(__linux__)
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int cpu : cpus) {
    if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  }
  // A set that the system refuses leaves the thread where it is: slower,
  // never wrong.
  pthread_setaffinity_np(thread.native_handle(), sizeof set, &set);
#else
  (void)thread;
  (void)cpus;
#endif
}

}  // namespace

Pool::State& Pool::state() {
  const pid_t self = getpid();
  State* current = state_.load();
  while (current == nullptr || current->owner != self) {
    auto fresh = std::make_unique<State>(self);
    if (!state_.compare_exchange_strong(current, fresh.get())) continue;
    current = fresh.release();
    const std::lock_guard<std::mutex> lock(current->mutex);
    try {
      for (std::size_t i = 1; i < threads_; ++i) {
        current->workers.emplace_back([current] { current->serve(); });
        restrict_to(current->workers.back(), cpus_);
      }
    } catch (const std::system_error&) {
      // No more threads to be had: the caller does the rest.
    }
  }
  return *current;
}

void Pool::run(std::size_t count,
               const std::function<void(std::size_t)>& work) {
  if (threads_ == 1 || count < 2) {
    for (std::size_t task = 0; task < count; ++task) work(task);
    return;
  }
  State& pool = state();
  auto job = std::make_shared<Job>();
  job->work = &work;
  job->count = count;
  {
    const std::lock_guard<std::mutex> lock(pool.mutex);
    const std::size_t helpers = std::min(threads_ - 1, count - 1);
    for (std::size_t i = 0; i < helpers; ++i) pool.jobs.push_back(job);
  }
  pool.wanted.notify_all();
  job->help();
  std::unique_lock<std::mutex> lock(job->mutex);
  job->finished.wait(lock, [&] { return job->done == count; });
  if (job->error) std::rethrow_exception(job->error);
}

}  // namespace reconciler
