// The command line of device tests: `--reduced` for what a sanitizer can finish, then the names of the tests to run;
// all of them where none is named.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace test_support {

class ChosenTests {
 public:
  ChosenTests(int argc, char** argv) : names_(argv + 1, argv + argc) {
    const auto flag = std::find(names_.begin(), names_.end(), "--reduced");
    reduced_ = flag != names_.end();
    if (reduced_) names_.erase(flag);
    all_ = names_.empty();
  }

  // Runs `test(reduced)`, which returns the number of its failures, if it is chosen.
  template <class Test>
  void run(const char* name, Test test) {
    if (all_) {
      failures_ += test(reduced_);
    } else {
      run_if_named(name, test);
    }
  }

  template <class Test>
  void run_if_named(const char* name, Test test) {
    const auto named = std::find(names_.begin(), names_.end(), name);
    if (named == names_.end()) return;
    names_.erase(named);
    failures_ += test(reduced_);
  }

  // The verdict, as an exit status. A name that no test has is a failure.
  int end() const {
    for (const std::string& name : names_) std::printf("FAILED: no test is called %s\n", name.c_str());
    const int failures = failures_ + static_cast<int>(names_.size());
    std::printf(failures == 0 ? "passed\n" : "%d failures\n", failures);
    return failures == 0 ? 0 : 1;
  }

 private:
  std::vector<std::string> names_;
  bool reduced_ = false;
  bool all_ = true;
  int failures_ = 0;
};

}  // namespace test_support
