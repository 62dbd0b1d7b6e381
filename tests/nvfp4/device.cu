// The numerics on the device against the same functions on the host, bit for bit. Exit code 77: no GPU.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include <cuda_runtime.h>

#include <reset/nvfp4/e2m1.hpp>
#include <reset/nvfp4/e4m3.hpp>
#include <reset/nvfp4/quantize.hpp>
#include <reset/nvfp4/reference.hpp>

namespace {

constexpr int kNoGpu = 77;

void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::printf("CUDA: %s\n", cudaGetErrorString(error));
  std::exit(1);
}

// Memory that both sides read and write, poisoned.
template <class T>
class Shared {
 public:
  explicit Shared(std::size_t count) : count_(count) {
    check(cudaMallocManaged(&data_, count * sizeof(T)));
    std::memset(static_cast<void*>(data_), 0xa5, count * sizeof(T));
  }
  ~Shared() { cudaFree(data_); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T* data() { return data_; }
  T& operator[](std::size_t i) { return data_[i]; }
  std::size_t size() const { return count_; }

 private:
  T* data_ = nullptr;
  std::size_t count_;
};

template <class Function>
__global__ void run(Function function, std::size_t count) {
  const std::size_t i = blockIdx.x * std::size_t{256} + threadIdx.x;
  if (i < count) function(i);
}

// Runs function(i) for 0 <= i < count on the device.
template <class Function>
void on_device(Function function, std::size_t count) {
  run<<<static_cast<unsigned>((count + 255) / 256), 256>>>(function, count);
  check(cudaGetLastError());
  check(cudaDeviceSynchronize());
}

std::size_t report(const char* what, std::size_t wrong, std::size_t count) {
  std::printf("%-24s %zu of %zu differ\n", what, wrong, count);
  return wrong;
}

// What every codec gives for one float and one code, in one word each.
struct Codecs {
  std::uint64_t* encoded;
  std::uint32_t* e2m1;
  std::uint32_t* e4m3;

  // A prime stride through all floats: zeros, subnormals, infinities and NaN are among them.
  static constexpr std::uint32_t kStride = 251;

  __host__ __device__ static std::uint64_t encode(std::size_t i) {
    const float x = reset::detail::float_from_bits(static_cast<std::uint32_t>(i) * kStride);
    return std::uint64_t{reset::float_to_e2m1(x)} | std::uint64_t{reset::float_to_e4m3(x)} << 8 |
           std::uint64_t{reset::float_to_e4m3_toward_zero(x)} << 16;
  }
  __device__ void operator()(std::size_t i) const {
    encoded[i] = encode(i);
    if (i >= 256) return;
    e2m1[i] = reset::detail::bits_of(reset::e2m1_to_float(static_cast<std::uint8_t>(i)));
    e4m3[i] = reset::detail::bits_of(reset::e4m3_to_float(static_cast<std::uint8_t>(i)));
  }
};

std::size_t compare_codecs() {
  const std::size_t count = 0xffffffffu / Codecs::kStride;
  Shared<std::uint64_t> encoded(count);
  Shared<std::uint32_t> e2m1(256);
  Shared<std::uint32_t> e4m3(256);
  on_device(Codecs{encoded.data(), e2m1.data(), e4m3.data()}, count);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < count; ++i) wrong += encoded[i] != Codecs::encode(i);
  for (std::size_t i = 0; i < 256; ++i) {
    const auto code = static_cast<std::uint8_t>(i);
    wrong += e2m1[i] != reset::detail::bits_of(reset::e2m1_to_float(code));
    wrong += e4m3[i] != reset::detail::bits_of(reset::e4m3_to_float(code));
  }
  return report("codecs", wrong, count + 512);
}

// All rounding helpers on one pair of floats; a NaN counts as any NaN.
struct Rounding {
  const float* x;
  const float* y;
  std::uint64_t* results;

  __host__ __device__ static std::uint64_t canonical(float value) {
    return reset::detail::is_nan(value) ? 0x7fc00000u : reset::detail::bits_of(value);
  }
  __host__ __device__ static std::uint64_t canonical(double value) {
    return reset::detail::is_nan(value) ? 0x7ff8000000000000u : reset::detail::bits_of(value);
  }
  __host__ __device__ static std::uint64_t all(float a, float b) {
    namespace detail = reset::detail;
    const double c = detail::widen(a);
    const double d = detail::widen(b);
    std::uint64_t hash = canonical(detail::div_rn(a, b));
    hash = hash * 0x9e3779b97f4a7c15u + canonical(detail::mul_rn(a, b));
    hash = hash * 0x9e3779b97f4a7c15u + canonical(detail::add_rn(a, b));
    hash = hash * 0x9e3779b97f4a7c15u + canonical(detail::div_rn(c, d));
    hash = hash * 0x9e3779b97f4a7c15u + canonical(detail::mul_rn(c, detail::add_rn(c, d)));
    return hash * 0x9e3779b97f4a7c15u + canonical(detail::narrow(detail::mul_rn(c, d)));
  }
  __device__ void operator()(std::size_t i) const { results[i] = all(x[i], y[i]); }
};

std::size_t compare_rounding() {
  const std::size_t count = 1 << 22;
  Shared<float> x(count);
  Shared<float> y(count);
  Shared<std::uint64_t> results(count);
  std::mt19937 random(1);
  for (std::size_t i = 0; i < count; ++i) {
    // Every fourth pair is subnormal or nearly so.
    const std::uint32_t mask = i % 4 == 0 ? 0x81ffffffu : 0xffffffffu;
    x[i] = reset::detail::float_from_bits(static_cast<std::uint32_t>(random()) & mask);
    y[i] = reset::detail::float_from_bits(static_cast<std::uint32_t>(random()) & (i % 8 == 0 ? mask : 0xbfffffffu));
  }
  on_device(Rounding{x.data(), y.data(), results.data()}, count);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < count; ++i) wrong += results[i] != Rounding::all(x[i], y[i]);
  return report("rounding helpers", wrong, count);
}

// One rule on every block, and the dequantised sum of what it gives.
template <class Rule>
struct Quantise {
  Rule rule;
  reset::GlobalScale global;
  const float* x;
  const float* weights;
  reset::Nvfp4Block* blocks;

  __device__ void operator()(std::size_t i) const {
    blocks[i] = rule(x + i * 16, global, weights == nullptr ? nullptr : weights + i * 16);
  }
};

template <class Rule>
std::size_t compare_rule(const char* name, const Rule& rule, Shared<float>& x, const float* weights) {
  const std::size_t count = x.size() / 16;
  const reset::GlobalScale global = rule.global_scale(
      reset::tensor_amax(x.data(), 1, static_cast<std::int64_t>(x.size()), static_cast<std::int64_t>(x.size())));
  Shared<reset::Nvfp4Block> blocks(count);
  on_device(Quantise<Rule>{rule, global, x.data(), weights, blocks.data()}, count);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const reset::Nvfp4Block expected = rule(x.data() + i * 16, global, weights == nullptr ? nullptr : weights + i * 16);
    wrong += std::memcmp(&expected, &blocks[i], sizeof expected) != 0;
  }
  return report(name, wrong, count);
}

std::size_t compare_rules() {
  Shared<float> x(std::size_t{1} << 21);
  Shared<float> weights(x.size());
  std::mt19937_64 random(2);
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = normal(random) * static_cast<float>(1u << (i / 16 % 20));
    weights[i] = normal(random) * normal(random);
    weights[i] *= weights[i];
  }
  using reset::ErrorMeasure;
  using reset::FourOverSix;
  return compare_rule("round to nearest", reset::RoundToNearest(), x, nullptr) +
         compare_rule("four over six, squared", FourOverSix{ErrorMeasure::kMeanSquared}, x, nullptr) +
         compare_rule("four over six, absolute", FourOverSix{ErrorMeasure::kMeanAbsolute}, x, nullptr) +
         compare_rule("four over six, maximum", FourOverSix{ErrorMeasure::kMaxAbsolute}, x, nullptr) +
         compare_rule("scale sweep", reset::ScaleSweep(), x, nullptr) +
         compare_rule("weighted scale sweep", reset::ScaleSweep(), x, weights.data());
}

struct Dequantise {
  reset::Nvfp4MatrixView view;
  double* out;

  __device__ void operator()(std::size_t i) const {
    const auto k = static_cast<std::int64_t>(i);
    out[i] = reset::dequantize(view, k / view.cols, k % view.cols);
  }
};

std::size_t compare_views() {
  const std::int64_t rows = 300;
  const std::int64_t cols = 208;
  const auto layout = reset::ScaleLayout::kSwizzled128x4;
  Shared<std::uint8_t> packed(static_cast<std::size_t>(rows * cols / 2));
  Shared<std::uint8_t> scales(static_cast<std::size_t>(reset::scale_bytes(layout, rows, cols / 16)));
  std::mt19937 random(3);
  for (std::size_t i = 0; i < packed.size(); ++i) packed[i] = static_cast<std::uint8_t>(random());
  for (std::size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<std::uint8_t>(random() % 127);
  reset::Nvfp4MatrixView view{packed.data(),
                              rows,
                              cols,
                              cols / 2,
                              {scales.data(), layout, reset::scale_stride(layout, cols / 16), 0, 0},
                              reset::FusedGlobalScales::uniform({0.01f})};
  view.global.count = 2;
  view.global.parts[1] = {100, {3e-38f}};
  const reset::Nvfp4MatrixView part = col_slice(row_slice(view, 77, 150), 48, 112);
  Shared<double> out(static_cast<std::size_t>(part.rows * part.cols));
  on_device(Dequantise{part, out.data()}, out.size());
  std::size_t wrong = 0;
  for (std::int64_t row = 0; row < part.rows; ++row) {
    for (std::int64_t k = 0; k < part.cols; ++k) {
      const double found = out[static_cast<std::size_t>(row * part.cols + k)];
      wrong += found != reset::dequantize(view, 77 + row, 48 + k);
    }
  }
  return report("views", wrong, out.size());
}

}  // namespace

int main() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("no GPU: skipped\n");
    return kNoGpu;
  }
  const std::size_t wrong = compare_codecs() + compare_rounding() + compare_rules() + compare_views();
  return wrong == 0 ? 0 : 1;
}
