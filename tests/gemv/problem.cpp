// Every malformed call is refused by the name of what is wrong with it.
#include <cstdint>
#include <string>

#include "gemv/problem_fixture.hpp"
#include "support/catch.hpp"

#include <reset/gemv/problem.hpp>

using reset::ActivationType;
using reset::GemvGate;
using reset::GemvProblem;

namespace {

template <class Change>
void refused(Change change, const char* argument, ActivationType activation = ActivationType::kNvfp4) {
  GemvProblem problem = well_formed(activation, 4, 300, 512);
  REQUIRE(validate(problem).ok());
  change(problem);
  const reset::Status status = validate(problem);
  INFO(status.message());
  CHECK(status.code() == reset::StatusCode::kInvalidArgument);
  CHECK(std::string(status.argument()) == argument);
}

void* writable(const std::uint8_t* address) { return const_cast<std::uint8_t*>(address); }

}  // namespace

TEST_CASE("well-formed calls are accepted") {
  for (const auto activation : {ActivationType::kNvfp4, ActivationType::kFp16, ActivationType::kBf16}) {
    for (std::int64_t m = 1; m <= 16; ++m) CHECK(validate(well_formed(activation, m, 17, 16)).ok());
    GemvProblem problem = well_formed(activation, 3, 300, 512);
    problem.gate = GemvGate::kUpGate;
    problem.output.row_stride = 150;
    problem.bias = problem.residual = problem.alpha.device = nullptr;
    CHECK(validate(problem).ok());
    CHECK(result_columns(problem) == 150);
  }
  // A single token has no stride.
  GemvProblem problem = well_formed(ActivationType::kBf16, 1, 300, 512);
  problem.output.row_stride = problem.activations.row_stride = 0;
  CHECK(validate(problem).ok());
}

TEST_CASE("the most rows that a call may have are those that the kernels can count") {
  // Regions are 2^40 bytes apart, and so are the operands.
  CHECK(validate(well_formed(ActivationType::kBf16, 1, reset::kMaxGemvRows, 16)).ok());
  for (const std::int64_t rows : {reset::kMaxGemvRows + 1, std::int64_t{0x7fffffff}}) {
    CHECK(validate(well_formed(ActivationType::kBf16, 1, rows, 16)).message() ==
          "invalid argument: weights.rows is " + std::to_string(rows) + ", expected 1..2^31-1024");
  }
}

TEST_CASE("tokens and shapes") {
  refused([](GemvProblem& p) { p.tokens = 0; }, "tokens");
  refused([](GemvProblem& p) { p.tokens = 17; }, "tokens");
  refused([](GemvProblem& p) { p.tokens = 5; }, "activations.nvfp4.rows");
  refused([](GemvProblem& p) { p.weights.cols = 520; }, "weights.cols");
  refused([](GemvProblem& p) { p.weights.cols = 256; }, "activations.nvfp4.cols");
  refused([](GemvProblem& p) { p.weights.rows = 0; }, "weights.rows");
  refused([](GemvProblem& p) { p.weights.rows = 301, p.output.row_stride = 301, p.gate = GemvGate::kGateUp; },
          "weights.rows");
  refused([](GemvProblem& p) { p.gate = static_cast<GemvGate>(7); }, "gate");
  refused([](GemvProblem& p) { p.activations.type = static_cast<ActivationType>(7); }, "activations.type");
  refused([](GemvProblem& p) { p.output.type = static_cast<reset::OutputType>(7); }, "output.type");
}

TEST_CASE("views are refused under their names") {
  refused([](GemvProblem& p) { p.weights.packed = nullptr; }, "weights.packed");
  refused([](GemvProblem& p) { p.weights.row_stride = 255; }, "weights.row_stride");
  refused([](GemvProblem& p) { p.weights.block_scale.data = nullptr; }, "weights.block_scale.data");
  refused([](GemvProblem& p) { p.weights.block_scale.stride = 31; }, "weights.block_scale.stride");
  refused([](GemvProblem& p) { p.weights.block_scale.layout = static_cast<reset::ScaleLayout>(9); },
          "weights.block_scale.layout");
  refused([](GemvProblem& p) { p.weights.global.count = 5; }, "weights.global.count");
  refused([](GemvProblem& p) { p.weights.global.parts[0].scale = {0.0f}; }, "weights.global.parts.scale");
  refused([](GemvProblem& p) { p.activations.nvfp4.packed = nullptr; }, "activations.nvfp4.packed");
  refused([](GemvProblem& p) { p.activations.nvfp4.block_scale.stride = 3; }, "activations.nvfp4.block_scale.stride");
  refused([](GemvProblem& p) { p.activations.nvfp4.global.parts[0].scale = {-1.5f}; },
          "activations.nvfp4.global.parts.scale");
  refused(
      [](GemvProblem& p) {
        p.activations.nvfp4.global.count = 2;
        p.activations.nvfp4.global.parts[1] = {2, {1.0f}};
      },
      "activations.nvfp4.global.count");
  GemvProblem problem = well_formed(ActivationType::kNvfp4, 1, 300, 512);
  problem.weights.global.parts[0].scale = {-1.5f};
  CHECK(validate(problem).value() == -1.5);
}

TEST_CASE("pointers and strides of 16-bit activations") {
  const auto bf16 = ActivationType::kBf16;
  refused([](GemvProblem& p) { p.activations.dense = nullptr; }, "activations.dense", bf16);
  refused([](GemvProblem& p) { p.activations.dense = region(3) + 1; }, "activations.dense", bf16);
  refused([](GemvProblem& p) { p.activations.row_stride = 511; }, "activations.row_stride", bf16);
  refused([](GemvProblem& p) { p.activations.row_stride = -512; }, "activations.row_stride", bf16);
  refused([](GemvProblem& p) { p.activations.row_stride = std::int64_t{1} << 62; }, "activations.row_stride", bf16);
}

TEST_CASE("pointers and strides of the output and what is added to it") {
  refused([](GemvProblem& p) { p.output.data = nullptr; }, "output.data");
  refused([](GemvProblem& p) { p.output.data = writable(region(5) + 1); }, "output.data");
  refused([](GemvProblem& p) { p.output.data = writable(region(5) + 2), p.output.type = reset::OutputType::kFp32; },
          "output.data");
  refused([](GemvProblem& p) { p.output.row_stride = 299; }, "output.row_stride");
  refused([](GemvProblem& p) { p.bias = region(6) + 1; }, "bias");
  refused([](GemvProblem& p) { p.residual = region(7) + 1; }, "residual");
  refused([](GemvProblem& p) { p.alpha.device = reinterpret_cast<const float*>(region(8) + 2); }, "alpha.device");
}

TEST_CASE("an output may share no memory with what is read") {
  const auto at = [](const std::uint8_t* address) {
    return [address](GemvProblem& p) { p.output.data = writable(address); };
  };
  // The last byte of each operand, and an output that ends in its first.
  refused(at(region(1) + 300 * 256 - 2), "output.data");
  refused(at(region(1) - 4 * 600 + 2), "output.data");
  refused(at(region(2) + 300 * 32 - 2), "output.data");
  refused(at(region(3) + 4 * 256 - 2), "output.data");
  refused(at(region(4) + 4 * 32 - 2), "output.data");
  refused(at(region(6) + 598), "output.data");
  refused(at(region(8) + 2), "output.data");
  refused(at(region(7) + 2), "output.data");
  refused(at(region(3) + 1024), "output.data", ActivationType::kFp16);
  for (const std::uint8_t* apart : {region(1) + 300 * 256, region(1) - 4 * 600, region(3) + 4 * 256, region(7)}) {
    GemvProblem problem = well_formed(ActivationType::kNvfp4, 4, 300, 512);
    at(apart)(problem);
    CHECK(validate(problem).ok());
  }
}

TEST_CASE("column ranges of one buffer are apart") {
  GemvProblem problem = well_formed(ActivationType::kBf16, 4, 300, 512);
  problem.activations.row_stride = problem.output.row_stride = 812;
  problem.output.data = writable(region(3) + 512 * 2);
  problem.residual = nullptr;
  CHECK(validate(problem).ok());
  problem.output.data = writable(region(3) + 511 * 2);
  CHECK_FALSE(validate(problem).ok());
  problem.output.data = writable(region(3) + 513 * 2);  // the last column of token 0 is the first input of token 1
  CHECK_FALSE(validate(problem).ok());
}
