// The ReSET policy written a second time, from the text of the method and with none of the library's code: whole
// histories in vectors, and exact integers instead of floating point, so that neither the order of a sum nor a
// fast-math rewrite can change a decision. Entropies are given in units of 1/1024 nat.
#pragma once

#include <cstdint>
#include <vector>

namespace naive {

struct Decision {
  bool uncertain = false;
  bool high = false;
};

// sum / count, compared exactly.
struct Mean {
  std::int64_t sum = 0;
  std::int64_t count = 1;
};

inline bool operator<(Mean a, Mean b) { return a.sum * b.count < b.sum * a.count; }

class Policy {
 public:
  Policy(std::int64_t tau0, std::size_t window, bool include_current)
      : tau0_(tau0), window_(window), include_current_(include_current) {}

  Decision token(std::int64_t h, bool boundary) {
    if (boundary) {
      if (step_begin_ < history()) step_cleared_ = true;
      step_begin_ = history();
    }
    const std::size_t age = history() - step_begin_;  // t - t0
    if (include_current_) prefix_.push_back(prefix_.back() + h);
    const Mean now{h, 1};
    Mean step;
    if (age < window_) {
      const std::size_t length = history() < window_ ? history() : window_;
      step = length == 0 ? now : mean(history() - length);
    } else {
      step = history() == step_begin_ ? now : mean(step_begin_);
    }
    const Mean all = history() == 0 ? step : mean(0);
    Decision decision;
    decision.uncertain = history() > window_ && step_cleared_ && all < step;
    decision.high = !(now < (decision.uncertain ? step : Mean{tau0_, 1}));
    if (!include_current_) prefix_.push_back(prefix_.back() + h);
    return decision;
  }

 private:
  std::size_t history() const { return prefix_.size() - 1; }
  Mean mean(std::size_t begin) const {
    return {prefix_.back() - prefix_[begin], static_cast<std::int64_t>(history() - begin)};
  }

  std::int64_t tau0_;
  std::size_t window_;
  bool include_current_;
  std::vector<std::int64_t> prefix_{0};  // prefix_[n] is the sum of the first n entropies
  std::size_t step_begin_ = 0;
  bool step_cleared_ = false;
};

}  // namespace naive
