// One row at a time against the host sampler and the oracle in double.
#include <algorithm>
#include <cmath>
#include <random>

#include "sampler/device/comparisons.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {
namespace {

using sampler_test::kInfinity;
using sampler_test::make_row;

struct Setting {
  const char* name;
  float t_low;
  float t_high;
  std::int32_t top_k;
  float top_p;
  float min_p;
};

constexpr Setting kSettings[] = {
    {"plain", 0.3f, 1.0f, 0, 1.0f, 0.0f},
    {"argmax", 0.0f, 0.0f, 0, 1.0f, 0.0f},
    {"half argmax", 0.0f, 1.0f, 0, 1.0f, 0.0f},
    {"half argmax, cool", 0.0f, 0.7f, 0, 1.0f, 0.0f},
    {"argmax where it is high", 0.7f, 0.0f, 0, 1.0f, 0.0f},
    {"cool", 0.4f, 0.7f, 0, 1.0f, 0.0f},
    {"T_low is 1", 1.0f, 0.5f, 0, 1.0f, 0.0f},
    {"hot", 2.0f, 50.0f, 0, 1.0f, 0.0f},
    {"T_high is hot", 0.6f, 1.2f, 0, 1.0f, 0.0f},
    {"top-k 1", 0.3f, 1.0f, 1, 1.0f, 0.0f},
    {"top-k 20, top-p", 0.3f, 1.0f, 20, 0.95f, 0.0f},
    {"top-k 4", 0.5f, 1.5f, 4, 1.0f, 0.0f},
    {"top-k 7, min-p", 0.7f, 1.0f, 7, 1.0f, 0.1f},
    {"top-k 32", 0.6f, 1.2f, 32, 1.0f, 0.0f},
    {"top-k 33", 0.6f, 1.2f, 33, 1.0f, 0.0f},
    {"top-k 64, top-p", 0.6f, 1.2f, 64, 0.97f, 0.0f},
    {"top-k 65", 0.6f, 1.2f, 65, 1.0f, 0.0f},
    {"top-k 30, half argmax", 0.0f, 2.0f, 30, 0.8f, 0.01f},
    {"top-k 500", 0.6f, 1.2f, 500, 1.0f, 0.0f},
    {"top-k 2048, top-p", 0.6f, 1.2f, 2048, 0.9f, 0.0f},
    {"top-k 2049", 0.6f, 1.2f, 2049, 1.0f, 0.0f},
    {"top-k 3000, top-p, min-p", 0.6f, 1.2f, 3000, 0.9f, 0.001f},
    {"top-p", 0.3f, 1.0f, 0, 0.95f, 0.0f},
    {"top-p 0", 0.3f, 1.0f, 0, 0.0f, 0.0f},
    {"top-p, min-p", 0.7f, 1.0f, 0, 0.9f, 0.05f},
    {"min-p", 0.7f, 1.0f, 0, 1.0f, 0.05f},
    {"all three", 0.6f, 1.0f, 50, 0.9f, 0.02f},
    {"top-p, hot", 3.0f, 5.0f, 0, 0.9f, 0.0f},
    {"min-p 1", 0.7f, 1.0f, 0, 1.0f, 1.0f},
    {"top-k above V", 0.7f, 1.0f, 1 << 30, 1.0f, 0.0f},
    {"top-p, very hot", 20.0f, 50.0f, 0, 0.5f, 0.0f},
};

struct Shape {
  const char* name;
  std::vector<float> row;
};

// At the ends of what types hold: `smallest` is a type's smallest number.
void add_extremes(std::size_t size, unsigned seed, float smallest, std::vector<Shape>& shapes) {
  std::mt19937 random(seed);
  Shape half{"the largest halves", std::vector<float>(size, -65504.0f)};
  for (std::size_t i = 0; i < size; i += 1 + random() % 3) half.row[i] = random() % 2 == 0 ? 65504.0f : 65472.0f;
  shapes.push_back(half);
  // At T = 1 the weights of all but one are subnormal, or just not.
  Shape weights{"subnormal weights", std::vector<float>(size, 0.0f)};
  for (float& x : weights.row) x = -86.0f - static_cast<float>(random() % 1800) * 0.01f;
  weights.row[size / 2] = 0.0f;
  shapes.push_back(weights);
  Shape logits{"subnormal logits", std::vector<float>(size, 0.0f)};
  for (float& x : logits.row) x = smallest * (static_cast<float>(random() % 120) - 60.0f);
  logits.row[size * 2 / 3] = 63.0f * smallest;
  shapes.push_back(logits);
  for (float& x : logits.row) x = x < 0.0f ? x : -smallest;
  logits.name = "negative subnormal logits";
  logits.row[size / 3] = -0.0f;
  shapes.push_back(logits);
}

std::vector<Shape> make_shapes(std::int32_t columns, unsigned seed, float smallest) {
  const std::size_t size = static_cast<std::size_t>(columns);
  std::vector<Shape> shapes;
  shapes.push_back({"realistic", make_row(size, seed, 2.5f, 20, 16.0f)});
  shapes.push_back({"flat", make_row(size, seed + 1, 0.3f, 0, 0.0f)});
  shapes.push_back({"dense", make_row(size, seed + 6, 2.5f, 0, 0.0f)});
  shapes.push_back({"uniform", std::vector<float>(size, -1.5f)});
  shapes.push_back({"peaked", make_row(size, seed + 2, 1.0f, 1, 30.0f)});
  shapes.push_back({"huge", make_row(size, seed + 3, 1e4f, 0, 0.0f)});
  Shape masked{"masked", make_row(size, seed + 4, 2.0f, 3, 9.0f)};
  for (std::size_t i = 0; i < size; ++i) {
    if (i % 3 != 0) masked.row[i] = -kInfinity;
  }
  shapes.push_back(masked);
  // More tokens tie for the best than are kept, in a few chunks or in all of them.
  for (const std::size_t step : {41u, 997u}) {
    Shape plateau{step == 41 ? "wide plateau" : "plateau", make_row(size, seed + 5, 1.0f, 0, 0.0f)};
    for (std::size_t i = 5; i < size; i += step) plateau.row[i] = 9.0f;
    shapes.push_back(plateau);
  }
  // Nearly all scores tie, by rounding alone or because the noise is below the resolution of a score.
  Shape tied{"tied", std::vector<float>(size, 4e15f)};
  for (std::size_t i = 0; i < size; ++i) {
    if (i < 16 || i / 1024 == 1) tied.row[i] = -kInfinity;
  }
  if (size < 17) tied.row.back() = 4e15f;
  shapes.push_back(tied);
  Shape out{"near the largest float", std::vector<float>(size, -3e38f)};
  out.row[size / 3] = 2e38f;
  out.row[size - 1] = 3e38f;
  shapes.push_back(out);
  Shape one{"one finite", std::vector<float>(size, -kInfinity)};
  one.row[size / 2] = -7.0f;
  shapes.push_back(one);
  add_extremes(size, seed, smallest, shapes);
  return shapes;
}

template <class T>
std::vector<float> exact(const std::vector<T>& row) {
  std::vector<float> result;
  for (const T x : row) result.push_back(reset::to_float(x));
  return result;
}

// The token may differ only where the two sides cut top-p differently: its mass at the cut is known to 1e-6.
struct Differences {
  int by_mass = 0;  // rows that top-p cuts
  int near_cut = 0;
};

void compare(const reset::SampledToken& host, const reset::SampledToken& device, double oracle,
             const std::vector<float>& row, const reset::SamplingParams& sampling, Differences& differences,
             Verdict& verdict, const std::string& name) {
  const double tolerance = 1e-6 * std::fmax(1.0, oracle);
  verdict.expect(host.status == device.status, name + ": status");
  verdict.expect(std::fabs(static_cast<double>(device.entropy) - oracle) <= tolerance,
                 name + ": entropy " + std::to_string(device.entropy) + ", " + std::to_string(oracle));
  verdict.expect(host.policy.temperature == device.policy.temperature, name + ": temperature");
  differences.by_mass += cuts_by_mass(sampling) ? 1 : 0;
  const auto temperature = static_cast<double>(host.policy.temperature);
  if (host.token != device.token && is_near_cut(row, temperature, sampling, host.token, device.token)) {
    ++differences.near_cut;
    return;
  }
  verdict.expect(host.token == device.token,
                 name + ": token " + std::to_string(device.token) + ", " + std::to_string(host.token));
  verdict.expect(std::fabs(host.logprob - device.logprob) <= 2e-6f * std::fmax(1.0f, std::fabs(host.logprob)),
                 name + ": logprob " + std::to_string(device.logprob) + ", " + std::to_string(host.logprob));
  verdict.expect(host.rank == device.rank, name + ": rank");
}

template <class T>
void test_width(const reset::SamplerDevice& device, const char* type, std::int32_t columns, bool reduced,
                Differences& differences, Verdict& verdict) {
  reset::SamplerConfig config;
  config.vocabulary = columns;
  config.slots = 2;
  config.rank = true;
  Engine engine(device, config, 4);
  unsigned count = 0;
  std::mt19937 random(static_cast<unsigned>(columns));
  constexpr float kSmallest =
      std::is_same_v<T, reset::Half> ? 0x1p-24f : 0x1p-133f;  // bfloat16's, and floats have more
  for (const Shape& shape : make_shapes(columns, static_cast<unsigned>(columns), kSmallest)) {
    const std::vector<T> row = convert<T>(shape.row);
    const std::vector<float> values = exact(row);
    const auto is_above = [](float x) { return reset::detail::is_inf(x) && x > 0.0f; };
    if (std::any_of(values.begin(), values.end(), is_above)) continue;  // more than the type holds
    const double oracle = sampler_test::oracle_entropy(values);
    for (const Setting& setting : kSettings) {
      ++count;
      const bool few = setting.top_k > 0 && setting.top_k < 5;  // a list of the best for few columns
      if (reduced && count % 5 != 1 && !few) continue;
      reset::RequestParams request;
      request.reset.t_low = setting.t_low;
      request.reset.t_high = setting.t_high;
      request.reset.tau0 = 2.0f;
      request.sampling = {0.8f, setting.top_k, setting.top_p, setting.min_p, 0};
      request.seed = 77 + count;
      request.reset_enabled = count % 7 != 6;
      engine.add(1, request);
      const std::size_t shift = count % 3;  // an address that vectors cannot be read from
      std::vector<T> memory(shift, convert<T>(kInfinity));
      memory.insert(memory.end(), row.begin(), row.end());
      const DeviceArray<T> logits(memory);
      const auto pick = static_cast<unsigned>(random() >> 8);
      const reset::SamplerPolicy policy{pick % 2 == 0 ? 0 : 1 + static_cast<int>(pick / 2 % 40), pick / 80 % 3 == 0 ? 0
                                                                                                 : pick / 80 % 3 == 1
                                                                                                     ? 1
                                                                                                     : 4};
      const auto found = engine.step(logits.data() + shift, {{1, -1, reset::kNextPosition}}, {false, policy});
      reset::SampledToken expected;
      check(engine.host().sample(1, row.data(), expected), "sample");
      const std::string name =
          std::string(type) + " V=" + std::to_string(columns) + " " + shape.name + ", " + setting.name;
      compare(expected, found[0], oracle, values, request.sampling, differences, verdict, name);
    }
  }
}

}  // namespace

int test_rows(const reset::SamplerDevice& device, bool reduced) {
  Verdict verdict("rows");
  Differences differences;
  for (const std::int32_t columns : {1, 2, 31, 1000, 1024, 1025, 4097, 50257, 151936, 262144}) {
    if (reduced && columns > 5000) continue;
    test_width<float>(device, "fp32", columns, reduced, differences, verdict);
    test_width<reset::BFloat16>(device, "bf16", columns, reduced, differences, verdict);
    test_width<reset::Half>(device, "fp16", columns, reduced, differences, verdict);
  }
  // What runs at once on a device of one or two multiprocessors.
  for (const int multiprocessors : {1, 2}) {
    reset::SamplerDevice small = device;
    small.sm_count = multiprocessors;
    for (const std::int32_t columns : {1025, 50257}) {
      if (reduced && columns > 5000) continue;
      test_width<float>(small, "fp32, few multiprocessors", columns, true, differences, verdict);
    }
  }
  std::printf("rows: %d cut by top-p, %d differ by where\n", differences.by_mass, differences.near_cut);
  verdict.expect(differences.near_cut * 500 <= differences.by_mass, "more than 0.2 % differ by the cut of top-p");
  return verdict.failures();
}

}  // namespace device_test
