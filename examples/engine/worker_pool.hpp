// Threads that share the rows of a layer. Each row is computed whole by one thread, so their number changes no bit.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace engine {

class WorkerPool {
 public:
  // `threads` in all, the caller being one of them; fewer than two means that no thread is started.
  explicit WorkerPool(int threads) {
    try {
      for (int part = 1; part < threads; ++part) workers_.emplace_back([this, part] { work(part); });
    } catch (...) {
      stop();  // a constructor that throws has no destructor to join those that were started
      throw;
    }
  }
  ~WorkerPool() { stop(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int parts() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls job(0) .. job(parts() - 1), each on its own thread, and returns when all are done. The job must not throw.
  void run(const std::function<void(int)>& job) {
    if (workers_.empty()) return job(0);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      job_ = &job;
      busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
      round_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    job(0);
    while (busy_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  }

  // The share of `part` in [0, count), in units of eight rows.
  std::pair<std::int64_t, std::int64_t> share(std::int64_t count, int part) const {
    constexpr std::int64_t kUnit = 8;
    const std::int64_t units = (count + kUnit - 1) / kUnit;
    const auto bound = [&](std::int64_t p) { return std::min(count, units * p / parts() * kUnit); };
    return {bound(part), bound(part + 1)};
  }

 private:
  void stop() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      round_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  void work(int part) {
    // A layer lasts some ten microseconds, less than waking a sleeping thread: look a while before sleeping.
    constexpr int kLooks = 2000;
    std::uint64_t seen = 0;
    for (;;) {
      for (int look = 0; look < kLooks && round_.load(std::memory_order_acquire) == seen; ++look) {
        std::this_thread::yield();
      }
      const std::function<void(int)>* job = nullptr;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return round_.load(std::memory_order_relaxed) != seen; });
        if (stopping_) return;
        seen = round_.load(std::memory_order_relaxed);
        job = job_;
      }
      (*job)(part);
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  const std::function<void(int)>* job_ = nullptr;
  std::atomic<std::uint64_t> round_{0};
  std::atomic<int> busy_{0};
  bool stopping_ = false;
  std::vector<std::thread> workers_;  // last: the threads use everything above
};

}  // namespace engine
