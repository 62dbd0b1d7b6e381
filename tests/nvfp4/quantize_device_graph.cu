// A decode step's quantisers chained with dependent launch: captured once, replayed with other inputs, always the bits
// of the plain launches.
#include <cstdint>
#include <vector>

#include <reset/nvfp4/dequantize.cuh>
#include <reset/nvfp4/quantize.cuh>

#include "nvfp4/device_support.cuh"

using namespace device_test;
using reset::ScaleLayout;

namespace {

constexpr std::int64_t kRows = 5;
constexpr std::int64_t kCols = 4112;
constexpr Shape kShape{kRows, kCols, kCols, 0};
constexpr Shape kWide{kRows, 2 * kCols, 2 * kCols, 0};

// Kernels that read what those before them write: the norm's residual is quantised; a matrix is dequantised into the
// halves of the gated activations, where a matrix product would leave its result. Only the order that dependent
// launches keep makes the results right: the places of the results are poisoned before every run.
struct Chain {
  DeviceArray<__half> x;
  DeviceArray<__half> residual;
  DeviceArray<__half> weight;
  DeviceArray<__half> wide;
  Image images[3] = {{kRows, kCols, ScaleLayout::kSwizzled128x4, 0, 0},
                     {kRows, kCols, ScaleLayout::kLinear, 0, 0},
                     {kRows, kCols, ScaleLayout::kLinear, 0, 0}};
  DeviceArray<std::uint8_t> packed[3] = {DeviceArray<std::uint8_t>(images[0].packed),
                                         DeviceArray<std::uint8_t>(images[1].packed),
                                         DeviceArray<std::uint8_t>(images[2].packed)};
  DeviceArray<std::uint8_t> scales[3] = {DeviceArray<std::uint8_t>(images[0].scales),
                                         DeviceArray<std::uint8_t>(images[1].scales),
                                         DeviceArray<std::uint8_t>(images[2].scales)};

  Chain()
      : x(random_rows<__half>(kShape, 1)),
        residual(random_rows<__half>(kShape, 2)),
        weight(random_rows<__half>({1, kCols, kCols, 0}, 3)),
        wide(std::vector<__half>(elements(kWide))) {}

  void set_inputs(unsigned seed) {
    x.upload(random_rows<__half>(kShape, seed));
    residual.upload(random_rows<__half>(kShape, seed + 1000));
    wide.upload(std::vector<__half>(elements(kWide), from_float<__half>(std::nanf(""))));
    for (int i = 0; i < 3; ++i) {
      packed[i].upload(images[i].packed);
      scales[i].upload(images[i].scales);
    }
  }

  reset::Status launch(bool dependent, cudaStream_t stream) {
    reset::QuantizeOptions options;
    reset::DequantizeOptions decode;
    options.dependent_launch = decode.dependent_launch = dependent;
    const auto view = [&](int i) { return images[i].view(packed[i].data(), scales[i].data(), 0x1p-9f); };
    reset::RmsNorm<__half> norm{weight.data(), 1e-5f, residual.data(), kCols};
    options.zero_scale_padding = true;
    reset::Status status = reset::rms_norm_quantize<__half>(x.data(), kCols, norm, view(0), options, stream);
    options.zero_scale_padding = false;
    if (status.ok()) status = reset::quantize_activations<__half>(residual.data(), kCols, view(1), options, stream);
    if (status.ok()) {
      status = reset::dequantize_matrix<__half>(constant_, wide.data() + kCols, 2 * kCols, decode, stream);
    }
    if (status.ok()) status = reset::dequantize_matrix<__half>(constant_, wide.data(), 2 * kCols, decode, stream);
    if (status.ok()) {
      status =
          reset::silu_mul_quantize<__half>(wide.data(), 2 * kCols, reset::GateOrder::kUpGate, view(2), options, stream);
    }
    return status;
  }

  void set_constant(const reset::Nvfp4MatrixView& view) { constant_ = view; }

  std::vector<std::uint8_t> results() const {
    std::vector<std::uint8_t> all;
    for (int i = 0; i < 3; ++i) {
      for (const std::vector<std::uint8_t>& part : {packed[i].download(), scales[i].download()}) {
        all.insert(all.end(), part.begin(), part.end());
      }
    }
    for (const __half value : residual.download()) all.push_back(static_cast<std::uint8_t>(bits(value)));
    return all;
  }

 private:
  reset::Nvfp4MatrixView constant_;
};

// Quantised once, the matrix that the chain decodes.
struct Constant {
  Image image{kRows, kCols, ScaleLayout::kLinear, 0, 0};
  DeviceArray<__half> x{random_rows<__half>(kShape, 50)};
  DeviceArray<std::uint8_t> packed{image.packed};
  DeviceArray<std::uint8_t> scales{image.scales};

  reset::Nvfp4MatrixView make() {
    const auto view = image.view(packed.data(), scales.data(), 0x1p-8f);
    REQUIRE(reset::quantize_activations<__half>(x.data(), kCols, view, {}, nullptr).ok());
    REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
    return view;
  }
};

}  // namespace

TEST_CASE("a captured chain with dependent launch gives the bits of plain launches at every replay", "[gpu]") {
  need_gpu();
  Constant constant;
  Chain chain;
  chain.set_constant(constant.make());
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t replay = nullptr;
  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  const reset::Status captured = chain.launch(true, stream);
  REQUIRE(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  INFO(captured.message());
  REQUIRE(captured.ok());
  REQUIRE(cudaGraphInstantiate(&replay, graph, 0) == cudaSuccess);
  std::vector<std::uint8_t> previous;
  for (unsigned seed = 1; seed <= 3; ++seed) {
    chain.set_inputs(seed);
    REQUIRE(chain.launch(false, stream).ok());
    REQUIRE(cudaStreamSynchronize(stream) == cudaSuccess);
    const std::vector<std::uint8_t> expected = chain.results();
    CHECK(expected != previous);
    for (int repeat = 0; repeat < 30; ++repeat) {
      chain.set_inputs(seed);
      REQUIRE(cudaGraphLaunch(replay, stream) == cudaSuccess);
      REQUIRE(cudaStreamSynchronize(stream) == cudaSuccess);
      CHECK(chain.results() == expected);
    }
    previous = expected;
  }
  REQUIRE(cudaGraphExecDestroy(replay) == cudaSuccess);
  REQUIRE(cudaGraphDestroy(graph) == cudaSuccess);
  REQUIRE(cudaStreamDestroy(stream) == cudaSuccess);
}
