#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "gemv/device/case.hpp"
#include "gemv/device/launcher.hpp"
#include "gemv/device/tests.hpp"

namespace {

using reset::ActivationType;
using reset::GemvGate;
using reset::OutputType;
using reset::ScaleLayout;

constexpr ActivationType kActivations[] = {ActivationType::kNvfp4, ActivationType::kFp16, ActivationType::kBf16};
constexpr OutputType kOutputs[] = {OutputType::kFp16, OutputType::kBf16, OutputType::kFp32};
constexpr GemvGate kGates[] = {GemvGate::kNone, GemvGate::kGateUp, GemvGate::kNone, GemvGate::kUpGate};
constexpr Residual kResiduals[] = {Residual::kNone, Residual::kApart, Residual::kInPlace};

struct Tally {
  int cases = 0;
  int by[3] = {0, 0, 0};
  int x_parts[3] = {0, 0, 0};  // of these with NVFP4 activations whose scales are part of a larger tensor
  int failures = 0;
  double worst = 0;

  void add(const CaseOptions& options, const reset::DeviceInfo& device) {
    Case call(options, device);
    ++cases;
    ++by[static_cast<std::size_t>(call.kernel())];
    const bool x_part = options.activation == ActivationType::kNvfp4 && options.x_block_origin > 0;
    if (x_part) ++x_parts[static_cast<std::size_t>(call.kernel())];
    const reset::Status status = run(call.problem(), device, false, nullptr);
    std::string wrong = status.ok() ? "" : status.message();
    const cudaError_t error = cudaDeviceSynchronize();
    if (error != cudaSuccess) wrong = cudaGetErrorString(error);
    if (wrong.empty()) wrong = call.compare();
    worst = std::max(worst, call.worst());
    if (wrong.empty()) return;
    if (++failures <= 10) std::printf("FAILED: %s: %s\n", options.text().c_str(), wrong.c_str());
    if (error != cudaSuccess) std::exit(1);
  }

  int report(const char* name) const {
    std::printf("%s: %d cases (%d tensor, %d tensor ring, %d ring), %d failures, worst error %.2f of its bound\n", name,
                cases, by[0], by[1], by[2], failures, worst);
    return failures;
  }
};

}  // namespace

int test_combinations(const reset::DeviceInfo& device, bool reduced) {
  Tally tally;
  unsigned turn = 0;
  const int step = reduced ? 5 : 1;
  for (std::int64_t m = 1; m <= 16; m += step) {
    for (const ActivationType activation : kActivations) {
      for (int variant = 0; variant < (reduced ? 2 : m <= 2 ? 24 : 8); ++variant) {
        CaseOptions options;
        options.m = m;
        options.activation = activation;
        // 130 rows need a second tile of scales; 126 and 258 leave the last tile of rows partly empty.
        options.n = turn % 3 == 0 ? 130 : turn % 3 == 1 ? 126 : 258;
        options.k = turn % 5 == 0 ? 768 : turn % 5 == 1 ? 512 : turn % 5 == 2 ? 272 : turn % 5 == 3 ? 1024 : 2048;
        options.output = kOutputs[turn % 3];
        options.gate = kGates[turn / 2 % 4];
        options.residual = kResiduals[turn / 3 % 3];
        options.bias = turn / 5 % 2 == 1;
        options.device_alpha = turn / 7 % 2 == 1;
        options.parts = 1 + static_cast<int>(turn / 4 % 4);
        // What the ring kernel refuses: swizzled scales, odd strides and addresses.
        if (turn % 4 == 3) options.layout = ScaleLayout::kSwizzled128x4;
        if (turn / 2 % 4 == 1) options.x_layout = ScaleLayout::kSwizzled128x4;
        if (turn % 7 == 2) options.misalignment = 1 << turn % 4;
        if (turn % 5 == 3) options.x_misalignment = 1 << turn / 5 % 4;
        if (turn % 3 == 1) options.x_block_origin = 1 + static_cast<int>(turn / 3 % 6);
        if (turn % 9 == 4) options.x_row_origin = 3;
        if (turn % 6 == 1) options.x_blocks_behind = 2;
        options.slack = turn % 8 == 5 ? 16 : turn % 8 == 6 ? 5 : turn % 8 == 2 ? 8 : 0;
        if (turn % 6 == 1) options.row_origin = 37;
        if (turn % 6 == 4) options.block_origin = turn % 4 == 0 ? 16 : 3;
        options.nan_scale = turn % 11 == 10;
        if (activation == ActivationType::kNvfp4 && m <= 2 && variant % 2 == 0) {
          options.k = 256 << turn % 5;
          options.layout = ScaleLayout::kLinear;
          options.misalignment = options.x_misalignment = 0;
          options.slack = options.slack / 16 * 16;
          options.block_origin = turn % 4 == 1 ? 16 : 0;
          options.x_block_origin = turn % 4 == 0 ? 1 + static_cast<int>(turn % 5) : 0;
        }
        options.seed = ++turn;
        tally.add(options, device);
      }
    }
  }
  int missed = 0;
  for (const int kernel : {0, 1, 2}) {
    const bool runs = kernel == 0 || device.arch >= 90;
    missed += runs && tally.x_parts[kernel] < (reduced ? 1 : 5) ? 1 : 0;
  }
  if (missed > 0) std::printf("FAILED: %d kernels had no activations from a larger scale tensor\n", missed);
  return tally.report("combinations") + missed;
}

int test_shapes(const reset::DeviceInfo& device, bool reduced) {
  Tally tally;
  // The two odd shapes, tiny ones, and every number of chunks and of warps a group that the selector gives.
  const std::int64_t shapes[][2] = {{17, 16},    {3, 48},     {1, 16},     {1000, 4112}, {5119, 1856}, {1024, 256},
                                    {700, 1536}, {701, 2560}, {702, 3584}, {703, 4096},  {350, 5120},  {351, 6912},
                                    {353, 8192}, {67, 9216},  {65, 12288}, {64, 13824},  {63, 16384},  {62, 17408},
                                    {61, 18944}, {60, 25600}, {7, 40960},  {5, 41216},   {4, 65536}};
  for (const auto& shape : shapes) {
    if (reduced && shape[0] * shape[1] > 300000) continue;
    for (const std::int64_t m : {1, 2, 3, 8}) {
      if (reduced && m > 2) continue;
      for (const ActivationType activation : kActivations) {
        if (m > 2 && shape[0] * shape[1] > 3000000 && activation != ActivationType::kBf16) continue;
        CaseOptions options;
        options.n = shape[0];
        options.k = shape[1];
        options.m = m;
        options.activation = activation;
        options.output = m == 1 ? OutputType::kBf16 : OutputType::kFp32;
        options.seed = static_cast<unsigned>(shape[0] + m);
        tally.add(options, device);
        options.slack = 32;  // rows one by one
        options.nan_scale = true;
        if (options.n * options.k < 2000000) tally.add(options, device);
      }
    }
  }
  return tally.report("shapes");
}

namespace {

// kRing with swizzled scales: every number of chunks, scales in one box and in two that overlap or do not, rows apart,
// matrices that begin in the middle of the scale tensor; on few multiprocessors with slow memory its ring goes round
// many times.
void add_spread_rings(Tally& tally, const reset::DeviceInfo& device, bool reduced) {
  reset::DeviceInfo slow = device;
  slow.sm_count = 3;
  slow.memory_bandwidth = 1;
  unsigned turn = 0;
  for (const std::int64_t k : {512, 1536, 4096, 8192, 8704, 16384, 16896, 17408, 25600, 32768}) {
    for (const std::int64_t n : {128, 512, 1152}) {
      const bool two_boxes = n == 128 && k == 16896;  // in a reduced run, too
      if (n * k > (reduced && !two_boxes ? 300000 : 10000000)) continue;
      for (const int slack : {0, 16}) {
        CaseOptions options;
        options.n = n;
        options.k = k;
        options.layout = ScaleLayout::kSwizzled128x4;
        options.slack = slack;
        options.row_origin = turn % 3 == 1 ? 128 : turn % 3 == 2 ? 384 : 0;
        options.block_origin = turn % 4 == 1 ? 4 : turn % 4 == 2 ? 16 : 0;
        options.blocks_behind = turn % 5 == 1 ? 8 : 0;
        options.x_block_origin = static_cast<int>(turn % 4);
        options.x_row_origin = turn % 2 == 1 ? 7 : 0;
        options.output = kOutputs[turn % 3];
        options.residual = kResiduals[turn % 3];
        options.nan_scale = turn % 7 == 3;
        options.seed = ++turn + 500;
        tally.add(options, device);
        tally.add(options, slow);
      }
    }
  }
}

}  // namespace

int test_scale_tensors(const reset::DeviceInfo& device, bool reduced) {
  Tally tally;
  add_spread_rings(tally, device, reduced);
  const int rings = tally.by[2];
  int tiles = 0;  // calls of kTensorRing whose swizzled scales come in boxes
  unsigned turn = 0;
  for (const std::int64_t n : {128, 130, 384, 1280}) {
    for (const std::int64_t k : {64, 256, 832, 2816, 4096, 13824}) {
      if (n * k > (reduced ? 200000 : 8000000)) continue;
      for (const std::int64_t m : {1, 2, 8, 9, 16}) {
        for (const int origin : {0, 1, 2}) {
          CaseOptions options;
          options.n = n;
          options.k = k;
          options.m = m;
          options.activation = kActivations[turn % 3];
          options.layout = turn % 8 == 7 ? ScaleLayout::kLinear : ScaleLayout::kSwizzled128x4;
          options.gate = kGates[turn / 3 % 4];
          options.output = kOutputs[turn / 2 % 3];
          options.residual = kResiduals[turn / 5 % 3];
          options.bias = turn % 5 == 1;
          options.parts = 1 + static_cast<int>(turn / 4 % 4);
          options.slack = turn % 7 == 3 ? 16 : 0;
          options.row_origin = origin == 0 ? 0 : origin == 1 ? 256 : 32;
          options.block_origin = turn % 4 == 1 ? 4 : turn % 4 == 2 ? 16 : 0;
          options.blocks_behind = turn % 3 == 1 ? 8 : 0;
          options.nan_scale = turn % 9 == 5;
          options.seed = ++turn;
          tally.add(options, device);
          const Case call(options, device);
          const bool boxes =
              reset::detail::scale_copies(shape_of(call.problem())) == reset::detail::ScaleCopies::kTiles;
          tiles += call.kernel() == reset::GemvKernel::kTensorRing && boxes ? 1 : 0;
        }
      }
    }
  }
  const int least = reduced ? 10 : 50;
  const bool missed = device.arch >= 90 && (tiles < least || rings < least);
  if (missed) std::printf("FAILED: %d and %d calls with boxes of swizzled scales\n", tiles, rings);
  return tally.report("scale tensors") + (missed ? 1 : 0);
}
