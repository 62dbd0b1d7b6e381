#include "parallel.hpp"

#include <exception>
#include <thread>
#include <utility>

#include "model.hpp"

namespace reasoner {
namespace {

// Threads that are waited for, also where an error ends their scope.
class Threads {
 public:
  Threads() = default;
  ~Threads() {
    for (std::thread& thread : threads_) thread.join();
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  template <class Work>
  void start(Work work) {
    threads_.emplace_back(std::move(work));
  }

 private:
  std::vector<std::thread> threads_;
};

}  // namespace

void solve_in_parallel(const engine::Weights& weights, const reset::Vocabulary& vocabulary, const Policy& policy,
                       const std::vector<Problem>& problems, std::uint64_t seed, int threads,
                       std::atomic<std::size_t>& next, std::vector<Solution>& solutions) {
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(threads));
  {
    Threads pool;
    for (std::exception_ptr& failure : failures) {
      pool.start([&] {
        try {
          Solver(weights, vocabulary, policy, engine::Model::kMaxRows, 1).solve_all(problems, seed, next, solutions);
        } catch (...) {
          failure = std::current_exception();
        }
      });
    }
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace reasoner
