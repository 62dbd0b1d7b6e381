// What the device tests of the sampler share: an engine with device memory of its own, rows of every type.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <reset/sampler/device_sampler.hpp>

#include "sampler/boundary_support.hpp"
#include "sampler/device/launcher.hpp"
#include "sampler/sampler_oracle.hpp"
#include "sampler/sampler_support.hpp"

namespace device_test {

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::printf("FAILED: %s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}
#define CHECK_CUDA(call) ::device_test::check(call, #call)

inline void check(const reset::Status& status, const char* what) {
  if (status.ok()) return;
  std::printf("FAILED: %s: %s\n", what, status.message().c_str());
  std::exit(1);
}

// Device memory of a number of elements, freed with its owner.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count) : count_(count) {
    void* memory = nullptr;
    CHECK_CUDA(cudaMalloc(&memory, count * sizeof(T) + 1));
    data_ = static_cast<T*>(memory);
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { upload(values); }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  void upload(const std::vector<T>& values) {
    CHECK_CUDA(cudaMemcpy(data_, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  }
  void poison() { CHECK_CUDA(cudaMemset(data_, 0xee, count_ * sizeof(T))); }
  std::vector<T> download() const {
    std::vector<T> values(count_);
    CHECK_CUDA(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  T* data_ = nullptr;
  std::size_t count_;
};

inline std::uint16_t half_bits(float x) {
  const _Float16 half = static_cast<_Float16>(x);
  std::uint16_t bits;
  std::memcpy(&bits, &half, 2);
  return bits;
}

template <class T>
T convert(float x) {
  if constexpr (std::is_same_v<T, float>) {
    return x;
  } else if constexpr (std::is_same_v<T, reset::Half>) {
    return {half_bits(x)};
  } else {
    return sampler_test::to_bfloat16(x);
  }
}

template <class T>
std::vector<T> convert(const std::vector<float>& row) {
  std::vector<T> result;
  for (const float x : row) result.push_back(convert<T>(x));
  return result;
}

// Tables of the detectors that have one, on the host and on the device, and all detectors with them.
class Tables {
 public:
  explicit Tables(std::int32_t vocabulary)
      : vocabulary_(make_vocabulary(vocabulary)),
        tables_{reset::TokenSetTable::published_rule(vocabulary_),
                reset::TextDelimiterTable(vocabulary_, {"Wait", "\n\n"})},
        set_(std::vector<std::uint32_t>(tables_.set.data(),
                                        tables_.set.data() + tables_.set.size_bytes() / sizeof(std::uint32_t))),
        text_(std::vector<std::uint16_t>(tables_.text.data(),
                                         tables_.text.data() + tables_.text.size_bytes() / sizeof(std::uint16_t))) {}

  reset::TokenSetDetector token_set() const { return tables_.set.detector(); }
  reset::TokenSetDetector token_set_on_device() const { return tables_.set.detector(set_.data()); }
  reset::TextDelimiterDetector text() const { return tables_.text.detector(); }
  reset::TextDelimiterDetector text_on_device() const { return tables_.text.detector(text_.data()); }
  Detector host() const { return boundary_test::everything(token_set(), text()); }
  Detector device() const { return boundary_test::everything(token_set_on_device(), text_on_device()); }

 private:
  static reset::Vocabulary make_vocabulary(std::int32_t size) {
    reset::Vocabulary vocabulary =
        boundary_test::make_vocabulary({"a", "\n", "\n\n", ".\n", "Wa", "<think>", "</think>", "it", " b"}, {5, 6});
    if (size > 9) vocabulary.resize(static_cast<std::size_t>(size));
    return vocabulary;
  }

  reset::Vocabulary vocabulary_;
  boundary_test::Tables tables_;
  DeviceArray<std::uint32_t> set_;
  DeviceArray<std::uint16_t> text_;
};

// A device sampler and a host sampler of one configuration.
class Engine {
 public:
  Engine(const reset::SamplerDevice& device, const reset::SamplerConfig& config, std::int32_t max_rows)
      : tables_(config.vocabulary),
        memory_(DeviceSampler::memory_bytes(config, max_rows)),
        device_(config, max_rows, device, memory_.data(), tables_.device()),
        host_(config, tables_.host()),
        results_(static_cast<std::size_t>(max_rows)),
        tokens_(static_cast<std::size_t>(max_rows)) {
    memory_.poison();
    check(initialize(device_, nullptr), "sampler_initialize");
  }

  const DeviceSampler& device() const { return device_; }

  // As if all rows had been in so many calls.
  void begin_at_call(std::uint32_t calls) {
    using Memory = reset::detail::SamplerMemory<Detector::State>;
    const std::vector<std::uint32_t> all(static_cast<std::size_t>(device_.max_rows()), calls);
    const Memory memory = Memory::at(memory_.data(), device_.config(), device_.max_rows());
    CHECK_CUDA(cudaMemcpy(memory.row_calls, all.data(), all.size() * sizeof(std::uint32_t), cudaMemcpyHostToDevice));
  }
  HostSampler& host() { return host_; }

  void add(std::int32_t slot, const reset::RequestParams& request) {
    check(device_test::add(device_, slot, request, nullptr), "sampler_add");
    check(host_.add(slot, request), "add");
  }

  void count_in(const reset::SlotQuantiles& quantiles) { quantiles_ = quantiles; }

  void commit(const std::vector<std::int32_t>& slots, const std::vector<std::int32_t>& counts,
              const std::vector<std::int32_t>& tokens = {}) {
    const DeviceArray<std::int32_t> device_slots(slots);
    const DeviceArray<std::int32_t> device_counts(counts);
    const DeviceArray<std::int32_t> device_tokens(tokens);
    const reset::SamplerCommit commit{device_slots.data(), device_counts.data(),
                                      tokens.empty() ? nullptr : device_tokens.data(),
                                      static_cast<std::int32_t>(slots.size()), quantiles_};
    check(device_test::commit(device_, commit, nullptr), "sampler_commit");
    CHECK_CUDA(cudaDeviceSynchronize());
  }

  DeviceSampler::State state(std::int32_t slot) const {
    DeviceSampler::State state;
    check(export_state(device_, slot, &state, nullptr), "sampler_export");
    CHECK_CUDA(cudaDeviceSynchronize());
    return state;
  }

  void import_state(std::int32_t slot, const DeviceSampler::State& state) {
    check(device_test::import_state(device_, slot, state, nullptr), "sampler_import");
  }

  // Runs `launch(call)` on poisoned outputs; rows lie where `logits` does.
  template <class T, class Launch>
  std::vector<reset::SampledToken> run(const T* logits, const std::vector<reset::SamplerRow>& rows, Launch launch) {
    const DeviceArray<reset::SamplerRow> device_rows(rows);
    results_.poison();
    tokens_.poison();
    reset::SamplerCall<T> call;
    call.logits = logits;
    call.rows = device_rows.data();
    call.count = static_cast<std::int32_t>(rows.size());
    call.tokens = tokens_.data();
    call.results = results_.data();
    call.quantiles = quantiles_;
    check(launch(call), "launch");
    CHECK_CUDA(cudaDeviceSynchronize());
    std::vector<reset::SampledToken> results = results_.download();
    const std::vector<std::int32_t> tokens = tokens_.download();
    results.resize(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (results[i].token == tokens[i]) continue;
      std::printf("FAILED: token %zu differs from its result\n", i);
      std::exit(1);
    }
    return results;
  }

  template <class T>
  std::vector<reset::SampledToken> step(const T* logits, const std::vector<reset::SamplerRow>& rows,
                                        const reset::SamplerLaunch& options = {}, const float* draft = nullptr) {
    return run(logits, rows, [&](reset::SamplerCall<T> call) {
      call.draft_probabilities = draft;
      return device_test::step(device_, call, options, nullptr);
    });
  }

  template <class T>
  std::vector<reset::SampledToken> apply(const T* logits, const std::vector<reset::SamplerRow>& rows,
                                         const reset::SamplerLaunch& options = {}) {
    return run(logits, rows,
               [&](const reset::SamplerCall<T>& call) { return device_test::apply(device_, call, options, nullptr); });
  }

 private:
  Tables tables_;
  DeviceArray<std::uint8_t> memory_;
  DeviceSampler device_;
  HostSampler host_;
  reset::SlotQuantiles quantiles_;
  DeviceArray<reset::SampledToken> results_;
  DeviceArray<std::int32_t> tokens_;
};

// Counts what failed and prints the first few.
class Verdict {
 public:
  explicit Verdict(const char* test) : test_(test) {}
  void expect(bool holds, const std::string& what) {
    if (holds) return;
    if (++failures_ <= 10) std::printf("FAILED: %s: %s\n", test_, what.c_str());
  }
  int failures() const {
    std::printf("%s: %s\n", test_, failures_ == 0 ? "passed" : "FAILED");
    return failures_;
  }

 private:
  const char* test_;
  int failures_ = 0;
};

}  // namespace device_test
